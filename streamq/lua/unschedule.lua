#!lua flags=allow-oom
-- Take a scheduled job back before its time comes.
--
-- KEYS[1]   scheduled set of the stream
-- KEYS[2]   scheduled jobs of the stream
-- KEYS[3]   the string of its idempotency key, if it has one
-- ARGV[1]   the schedule's name
--
-- Returns 1 when it was taken back, 0 when there is none of that name.
--@include rights

local needs = {
    { 'ZREM', KEYS[1], 'a' }, { 'HGET', KEYS[2], 'a' }, { 'HDEL', KEYS[2], 'a' },
}
if KEYS[3] then
    needs[4] = { 'GET', KEYS[3] }
    needs[5] = { 'DEL', KEYS[3] }
end
local denied = not_permitted(needs)
if denied then
    return denied
end

local name = ARGV[1]
redis.call('HDEL', KEYS[2], name, name .. ':key')
local taken = redis.call('ZREM', KEYS[1], name)
if taken == 1 and KEYS[3] and redis.call('GET', KEYS[3]) == name then
    redis.call('DEL', KEYS[3])
end
return taken
