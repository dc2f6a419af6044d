#!lua flags=allow-oom
-- Note that a worker is there that has schedules in its code.
--
-- KEYS[1]   schedules of the stream
-- ARGV[1..] their names
--
-- Returns how many of them there are.
--@include clock

local known, now = 0, string.format('%.0f', now_ms())
for _, name in ipairs(ARGV) do
    if redis.call('HGET', KEYS[1], 'schedule:' .. name) then
        redis.call('HSET', KEYS[1], 'seen:' .. name, now)
        known = known + 1
    end
end
return known
