#!lua flags=allow-oom
-- Delete a schedule. Its jobs stay. Not one in the code of a worker that is there: the worker
-- would make it anew.
--
-- KEYS[1]   schedules of the stream
-- ARGV[1]   name of the schedule
-- ARGV[2]   ms after which a worker that was there counts as gone
--
-- Returns 1 when it was deleted, 0 when there is none of that name, -1 when a worker has it.
--@include clock
--@include rights
--@include schedules

local schedules, name = KEYS[1], ARGV[1]
local denied = not_permitted({
    { 'HGET', schedules, 'a' }, { 'HSET', schedules, 'a', 'b' }, { 'HDEL', schedules, 'a' },
    { 'HLEN', schedules }, { 'DEL', schedules },
})
if denied then
    return denied
end

local seen = tonumber(redis.call('HGET', schedules, 'seen:' .. name) or '')
if not redis.call('HGET', schedules, 'schedule:' .. name) then
    return 0
elseif seen and now_ms() - seen < tonumber(ARGV[2]) then
    return -1
end
for _, kind in ipairs({ 'schedule', 'data', 'rule', 'from', 'tick', 'job', 'paused', 'seen' }) do
    redis.call('HDEL', schedules, kind .. ':' .. name)
end
changed(schedules)
if redis.call('HLEN', schedules) == 1 then
    redis.call('DEL', schedules) -- the version alone
end
return 1
