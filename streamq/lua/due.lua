#!lua flags=no-writes
-- Look for scheduled jobs whose time has come, those due first. A worker asks often, and most
-- often there is none: then it is two commands.
--
-- KEYS[1]   scheduled set of the stream
-- KEYS[2]   scheduled jobs of the stream
-- KEYS[3]   schedules of the stream's periodic jobs
-- ARGV[1]   how many at most
--
-- Returns {ms until the next one is due that is not yet, or -1 for none, the server's time in
--          ms, version of the schedules, nil where there are none; then for each that is due:
--          its name, its idempotency key or ''}.
--@include clock

local scheduled, now = KEYS[1], now_ms()
local version = redis.pcall('HGET', KEYS[3], 'version')
version = type(version) == 'string' and version
local first = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
if not first[2] then
    return { -1, now, version }
elseif tonumber(first[2]) > now then
    return { math.ceil(tonumber(first[2]) - now), now, version }
end
local next_one = redis.call(
    'ZRANGE', scheduled, '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES'
)
local names = redis.call('ZRANGE', scheduled, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
local of_keys = {}
for i, name in ipairs(names) do
    of_keys[i] = name .. ':key'
end
local keys = redis.call('HMGET', KEYS[2], unpack(of_keys))
local next_in = next_one[2] and math.ceil(tonumber(next_one[2]) - now) or -1
local found = { next_in, now, version }
for i, name in ipairs(names) do
    found[2 * i + 2] = name
    found[2 * i + 3] = keys[i] or ''
end
return found
