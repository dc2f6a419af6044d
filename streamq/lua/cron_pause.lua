#!lua flags=allow-oom
-- Pause a schedule, or let it go on: with the ticks from then on, not with those of the pause.
--
-- KEYS[1]   schedules of the stream
-- ARGV[1]   name of the schedule
-- ARGV[2]   1 to pause it, 0 to let it go on
--
-- Returns 1 when it was changed, 0 when it was so already, -1 when there is none of that name.
--@include clock
--@include rights
--@include schedules

local schedules, name = KEYS[1], ARGV[1]
local denied = not_permitted({
    { 'HGET', schedules, 'a' }, { 'HSET', schedules, 'a', 'b' }, { 'HDEL', schedules, 'a' },
})
if denied then
    return denied
end

if not redis.call('HGET', schedules, 'schedule:' .. name) then
    return -1
end
local now = string.format('%.0f', now_ms())
local paused = redis.call('HGET', schedules, 'paused:' .. name)
if ARGV[2] == '1' and not paused then
    redis.call('HSET', schedules, 'paused:' .. name, now)
elseif ARGV[2] == '0' and paused then
    redis.call('HDEL', schedules, 'paused:' .. name)
    redis.call('HSET', schedules, 'from:' .. name, now)
else
    return 0
end
changed(schedules)
return 1
