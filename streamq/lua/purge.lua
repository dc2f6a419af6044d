#!lua flags=allow-oom
-- Delete dead letters.
--
-- KEYS[1]   dead letters of a group
-- ARGV[1..] IDs of dead letters
--
-- Returns for each: 1 (deleted), 0 (there is no such dead letter).

local answers = {}
for i = 1, #ARGV do
    answers[i] = redis.call('XDEL', KEYS[1], ARGV[i])
end
if redis.call('XLEN', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[1])
end
return answers
