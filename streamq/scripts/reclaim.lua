#!lua flags=allow-oom
-- Take over stalled entries: those whose lease has run out, because their consumer
-- died, hangs or was cut off. One whose deliveries are used up goes to the dead
-- letters: a job that kills its worker must not kill every worker.
--
-- They are looked for consumer by consumer, never among the parked ones, so that a
-- million waiting retries cost nothing here; XAUTOCLAIM then takes each, and tells
-- when its entry has been deleted.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   dead letters of the group
-- KEYS[4]   lock: one sweep of the group at a time
-- ARGV[1]   group
-- ARGV[2]   consumer
-- ARGV[3]   lease, ms: the idle time after which an entry is stalled
-- ARGV[4]   how many at the most
-- ARGV[5]   how long no other sweep is needed, ms
-- ARGV[6]   silence after which a consumer that holds nothing is removed, ms
-- ARGV[7]   deliveries that a job may have, by default
-- ARGV[8..] pairs: job type, deliveries that it may have
--
-- Returns {{{entry ID, {field, value, ...}, delivery count}, ...},
--          {entry ID, deliveries, ... that went to the dead letters},
--          {entry IDs that are no longer in the stream},
--          {consumers removed},
--          1 when more may be left, else 0}
-- or nil when another sweep has just been.
--@include clock
--@include bury
--@include park
--@include remove

local stream, retry, dlq, lock = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, lease, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local bad = wrong_type(retry, 'zset') or wrong_type(dlq, 'stream')
if bad then
    return bad
end
redis.call('XPENDING', stream, group, '-', '+', 1) -- says so when the group is missing
if not redis.call('SET', lock, consumer, 'NX', 'PX', ARGV[5]) then
    return nil
end

local allowed = {}
for i = 8, #ARGV, 2 do
    allowed[ARGV[i]] = tonumber(ARGV[i + 1])
end

local function deliveries_allowed(id)
    local entry, job_type = redis.call('XRANGE', stream, id, id)[1], ''
    if entry then
        for i = 1, #entry[2], 2 do
            if entry[2][i] == 'type' then
                job_type = entry[2][i + 1]
            end
        end
    end
    return allowed[job_type] or tonumber(ARGV[7])
end

local claimed, buried, acked, deleted, removed = {}, {}, {}, {}, {}
local left = most

local function take(row)
    local id, count = row[1], row[4]
    if count >= deliveries_allowed(id) and #redis.call('XRANGE', stream, id, id) > 0 then
        bury(stream, dlq, id, count, row[2], 'worker lost',
            'its worker stopped answering during delivery ' .. count .. ', the last one allowed')
        acked[#acked + 1] = id
        buried[#buried + 1] = id
        buried[#buried + 1] = count
        return
    end
    local reply = redis.call('XAUTOCLAIM', stream, group, consumer, lease, id, 'COUNT', 1)
    local entry = reply[2][1]
    if entry and entry[1] == id then
        claimed[#claimed + 1] = { id, entry[2], count + 1 }
    else
        for _, gone in ipairs(reply[3]) do
            deleted[#deleted + 1] = gone
        end
    end
end

for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local fields = {}
    for j = 1, #flat, 2 do
        fields[flat[j]] = flat[j + 1]
    end
    local name, pending = fields['name'], fields['pending']
    if name == PARKED then
        -- Every parked entry has its time in the set, or the set was lost: give each
        -- that lacks one a time, a bounded number at a sweep.
        if pending > redis.call('ZCARD', retry) then
            local now = now_ms()
            for _, row in ipairs(redis.call('XPENDING', stream, group, '-', '+', 1000, PARKED)) do
                redis.call('ZADD', retry, 'NX', now, row[1])
            end
        end
    elseif pending == 0 then
        if fields['idle'] > tonumber(ARGV[6]) and name ~= consumer then
            redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
            removed[#removed + 1] = name
        end
    elseif left > 0 then
        local rows = redis.call('XPENDING', stream, group, 'IDLE', lease, '-', '+', left, name)
        for _, row in ipairs(rows) do
            take(row)
        end
        left = left - #rows
    end
end

if #acked > 0 then
    redis.call('XACK', stream, group, unpack(acked))
    remove_settled(stream, groups_of(stream), group, acked)
end
local more = left <= 0 and 1 or 0
if more == 1 then
    redis.call('DEL', lock)
end
return { claimed, buried, deleted, removed, more }
