#!lua
-- Give a scheduled job another time. Its idempotency key is remembered for as much longer or
-- shorter, for that is counted from the job's time on.
--
-- KEYS[1]   scheduled set of the stream
-- KEYS[2]   the string of its idempotency key, if it has one
-- ARGV[1]   the schedule's name
-- ARGV[2]   'in' or 'at'
-- ARGV[3]   ms from now, or Unix time in ms
--
-- Returns when it is due now: Unix time in ms; nil when there is none of that name.
--@include clock
--@include rights

local needs = { { 'ZSCORE', KEYS[1], 'a' }, { 'ZADD', KEYS[1], '0', 'a' } }
if KEYS[2] then
    needs[3] = { 'GET', KEYS[2] }
    needs[4] = { 'PTTL', KEYS[2] }
    needs[5] = { 'PEXPIRE', KEYS[2], '1' }
end
local denied = not_permitted(needs)
if denied then
    return denied
end

local name, now, due = ARGV[1], now_ms(), tonumber(ARGV[3])
if ARGV[2] == 'in' then
    due = now + due
end
local before = redis.call('ZSCORE', KEYS[1], name)
if not before then
    return nil
end
if KEYS[2] and redis.call('GET', KEYS[2]) == name then
    local ttl = redis.call('PTTL', KEYS[2])
    if ttl > 0 then
        local later = math.max(due, now) - math.max(tonumber(before), now)
        redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(ttl + later, 1)))
    end
end
redis.call('ZADD', KEYS[1], due, name)
return string.format('%.0f', due)
