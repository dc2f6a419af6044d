#!lua flags=allow-oom
-- Take scheduled jobs back before their time comes.
--
-- KEYS[1]   scheduled set of the stream
-- KEYS[2]   scheduled jobs of the stream
-- ARGV[1..] names of schedules
--
-- Returns for each: 1 when it was taken back, 0 when there is none of that name.

local answers = {}
for i = 1, #ARGV do
    redis.call('HDEL', KEYS[2], ARGV[i])
    answers[i] = redis.call('ZREM', KEYS[1], ARGV[i])
end
return answers
