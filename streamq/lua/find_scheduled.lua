#!lua flags=no-writes
-- Look for one job for later, by its name.
--
-- KEYS[1]   scheduled set of the stream
-- KEYS[2]   scheduled jobs of the stream
-- KEYS[3]   the string that maps the name to the entry that it has become
-- ARGV[1]   the name
--
-- Returns {due time in ms, {field, value, ...}, empty when it cannot be read, idempotency key
--          or ''} while it waits, the ID of the entry that it has become, or nil.
--@include packed

local name = ARGV[1]
local due = redis.call('ZSCORE', KEYS[1], name)
if not due then
    return redis.call('GET', KEYS[3])
end
local fields = fields_of(redis.call('HGET', KEYS[2], name) or '') or {}
for i, field in ipairs(fields) do
    fields[i] = tostring(field) -- a reply would cut the fraction of a number off
end
return { due, fields, redis.call('HGET', KEYS[2], name .. ':key') or '' }
