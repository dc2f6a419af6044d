#!lua flags=allow-oom
-- Claim parked entries whose retry time has come. The claim raises the delivery count. It
-- ends early when the entries are large.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- ARGV[1]   group
-- ARGV[2]   consumer
-- ARGV[3]   how many at most
--
-- Returns {ms until the next one is due, or -1 for none,
--          {{entry ID, {field, value, ...}, delivery count}, ...},
--          {entry IDs that are no longer in the stream}}
--@include clock
--@include size

local stream, retry, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local now = now_ms()
local claimed, deleted, read = {}, {}, 0

for _, id in ipairs(redis.call('ZRANGE', retry, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[3])) do
    local found = redis.pcall('XPENDING', stream, group, id, id, 1)
    -- What is no entry ID was put there by hand: no other job is to suffer for it.
    if found.err and not string.find(found.err, 'Invalid stream ID', 1, true) then
        return found
    end
    local row = found[1]
    -- An entry that was taken out of the parked ones by hand belongs to its taker.
    if row and row[1] == id and row[2] == '~retry' then
        local entry = redis.call('XCLAIM', stream, group, consumer, 0, id)[1]
        if entry then
            claimed[#claimed + 1] = { entry[1], entry[2], row[4] + 1 }
            read = read + size_of(entry[2])
        else
            deleted[#deleted + 1] = id
        end
    end
    redis.call('ZREM', retry, id)
    if read >= ENOUGH then
        break
    end
end

local next_in = -1
local first = redis.call('ZRANGE', retry, 0, 0, 'WITHSCORES')
if first[2] then
    next_in = math.max(tonumber(first[2]) - now, 0)
end
return { next_in, claimed, deleted }
