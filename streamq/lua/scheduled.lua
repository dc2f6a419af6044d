#!lua flags=no-writes
-- Look at the jobs for later, those due first. A page ends early after a MiB of what was
-- read, so that it neither holds the server up nor fills its memory.
--
-- KEYS[1]   scheduled set of the stream
-- KEYS[2]   scheduled jobs of the stream
-- ARGV[1]   where to start: a due time in ms, or '-inf'
-- ARGV[2]   how many due at that very time to leave out
-- ARGV[3]   how many to return
--
-- Returns {{name, due time in ms, {field, value, ...}, empty when it cannot be read,
--           idempotency key or ''}, ...}.
--@include packed

local BUDGET = 1048576
local found, read = {}, 0
local names = redis.call(
    'ZRANGE', KEYS[1], ARGV[1], '+inf', 'BYSCORE', 'LIMIT', ARGV[2], ARGV[3], 'WITHSCORES'
)
for i = 1, #names, 2 do
    local packed = redis.call('HGET', KEYS[2], names[i]) or ''
    local fields = fields_of(packed) or {}
    for j, field in ipairs(fields) do
        fields[j] = tostring(field) -- a reply would cut the fraction of a number off
    end
    local key = redis.call('HGET', KEYS[2], names[i] .. ':key') or ''
    found[#found + 1] = { names[i], names[i + 1], fields, key }
    read = read + #packed
    if read >= BUDGET then
        break
    end
end
return found
