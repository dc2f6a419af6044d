#!lua flags=allow-oom
-- Take note that some entries or dead letters are gone whose data is kept outside the stream.
--
-- KEYS[1]   holders of such data
-- KEYS[2]   data that nobody holds
-- ARGV[1..] where the data of each is
--
-- Returns how many there were.
--@include offloaded
--@include rights

local denied = not_permitted({
    { 'HGET', KEYS[1], 'a' }, { 'HSET', KEYS[1], 'a', 'b' }, { 'HDEL', KEYS[1], 'a' },
    { 'ZADD', KEYS[2], '0', 'a' },
})
if denied then
    return denied
end

for i = 1, #ARGV do
    let_go(KEYS[1], KEYS[2], ARGV[i])
end
return #ARGV
