#!lua
-- Write entries, in order.
--
-- KEYS[1]   stream
-- ARGV[1..] of each entry: how many strings follow, then field, value, ...
--
-- Returns the ID of each.
--@include rights

local denied = not_permitted({ { 'XADD', KEYS[1], '*', 'a', 'b' } })
if denied then
    return denied
end

local ids, place = {}, 1
while place <= #ARGV do
    local last = place + tonumber(ARGV[place])
    ids[#ids + 1] = redis.call('XADD', KEYS[1], '*', unpack(ARGV, place + 1, last))
    place = last + 1
end
return ids
