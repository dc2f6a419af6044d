#!lua flags=allow-oom
-- Delete dead letters.
--
-- KEYS[1]   dead letters of a group
-- ARGV[1..] IDs of dead letters
--
-- Returns for each: 1 (deleted), 0 (there is no such dead letter).
--@include rights

local denied = not_permitted({
    { 'XDEL', KEYS[1], '0-1' }, { 'XLEN', KEYS[1] }, { 'DEL', KEYS[1] },
})
if denied then
    return denied
end

local answers = {}
for i = 1, #ARGV do
    answers[i] = redis.call('XDEL', KEYS[1], ARGV[i])
end
if redis.call('XLEN', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[1])
end
return answers
