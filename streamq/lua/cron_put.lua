#!lua
-- Keep a schedule, unless one of the stream's schedules has been changed meanwhile. One whose
-- rule is another one than before ticks from now on, not for the past.
--
-- KEYS[1]   schedules of the stream
-- ARGV[1]   version of the schedules that the caller has read, '' where there were none
-- ARGV[2]   name of the schedule
-- ARGV[3]   what was asked for, JSON
-- ARGV[4]   data of its jobs
-- ARGV[5]   its rule
-- ARGV[6]   1 for a schedule in the code of the caller, a worker, else 0
-- ARGV[7]   1 for one that begins paused, else 0
--
-- Returns 1 when it is kept, 0 when they are other ones now.
--@include clock
--@include rights
--@include schedules

local schedules, name = KEYS[1], ARGV[2]
local denied = not_permitted({ { 'HGET', schedules, 'a' }, { 'HSET', schedules, 'a', 'b' } })
if denied then
    return denied
end

if (redis.call('HGET', schedules, 'version') or '') ~= ARGV[1] then
    return 0
end
local now = string.format('%.0f', now_ms())
if redis.call('HGET', schedules, 'rule:' .. name) ~= ARGV[5] then
    redis.call('HSET', schedules, 'rule:' .. name, ARGV[5], 'from:' .. name, now)
end
redis.call('HSET', schedules, 'schedule:' .. name, ARGV[3], 'data:' .. name, ARGV[4])
if ARGV[6] == '1' then
    redis.call('HSET', schedules, 'seen:' .. name, now)
end
if ARGV[7] == '1' then
    redis.call('HSET', schedules, 'paused:' .. name, now)
end
changed(schedules)
return 1
