#!lua
-- Write a job of a schedule now, beside its ticks, unless the schedules have been changed
-- meanwhile.
--
-- KEYS[1]   stream
-- KEYS[2]   schedules of the stream
-- ARGV[1]   version of the schedules that the caller has read
-- ARGV[2]   name of the schedule
-- ARGV[3..] field, value, ... of the entry
--
-- Returns the entry ID, or nil when they are other ones now.
--@include rights

local denied = not_permitted({
    { 'XADD', KEYS[1], '*', 'a', 'b' }, { 'HGET', KEYS[2], 'a' }, { 'HSET', KEYS[2], 'a', 'b' },
})
if denied then
    return denied
end

if redis.call('HGET', KEYS[2], 'version') ~= ARGV[1] then
    return nil
end
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
redis.call('HSET', KEYS[2], 'job:' .. ARGV[2], id)
return id
