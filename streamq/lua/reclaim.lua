#!lua flags=allow-oom
-- Take over stalled entries: those whose lease has run out, because their consumer
-- died, hangs or was cut off. One whose deliveries are used up goes to the dead
-- letters: a job that crashes its worker must not crash every worker.
--
-- Each job in flight beside such a one has lost a delivery too. So an entry whose last
-- delivery it would be is taken with as few others of its kind as the caller says: by
-- then those that crash their workers are parted from the others.
--
-- It ends early when the entries are large.
--
-- They are looked for consumer by consumer, never among the parked ones, so that a
-- million waiting retries cost nothing here; XAUTOCLAIM then takes each, and tells
-- when its entry has been deleted.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   dead letters of the group
-- KEYS[4]   lock: one reclaim of the group at a time
-- KEYS[5]   holders of data that is kept outside the stream
-- KEYS[6]   such data that nobody holds
-- KEYS[7..12] flow control: keys, busy, lines, due, queue, rates
-- ARGV[1]   group
-- ARGV[2]   consumer
-- ARGV[3]   lease, ms: the idle time after which an entry is stalled
-- ARGV[4]   how many at most
-- ARGV[5]   how long no other reclaim is needed, ms
-- ARGV[6]   silence after which a consumer that holds nothing is removed, ms
-- ARGV[7]   deliveries that a job may have, by default
-- ARGV[8]   how many may be taken whose last delivery it would be, -1 for any number
-- ARGV[9]   where to go on looking for parked entries without a time: what the last
--           reclaim returned, or '-'
-- ARGV[10]  the rules of the group, as JSON; '' for none. What these do not let begin again at
--           once is parked: it is due, and admitted as any other
-- ARGV[11..] pairs: job type, deliveries that it may have
--
-- Returns {{{entry ID, {field, value, ...}, delivery count}, ...},
--          {entry ID, deliveries, job type, ... that went to the dead letters},
--          {entry IDs that are no longer in the stream},
--          {consumers removed},
--          1 when more may be left, else 0,
--          where the next reclaim is to go on looking for parked entries,
--          {entry ID, delivery count, consumer, ... of each delivery that was lost}}
-- or nil when another reclaim has just been.
--@include after
--@include clock
--@include dead_letter
--@include follow
--@include flow
--@include park
--@include remove
--@include size
--@include tell

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

local UNSEEN = 10 -- deliveries of an entry that is for another group: it is settled unseen
local allowed = {}
for i = 11, #ARGV, 2 do
    allowed[ARGV[i]] = tonumber(ARGV[i + 1])
end

-- How many deliveries the entry may have, nil when it is no longer in the stream; and
-- its type and fields.
local function deliveries_allowed(id)
    local entry, job_type, only_for_another = redis.call('XRANGE', stream, id, id)[1], '', false
    if not entry then
        return nil
    end
    for i = 1, #entry[2], 2 do
        if entry[2][i] == 'type' then
            job_type = entry[2][i + 1]
        elseif entry[2][i] == 'for' and entry[2][i + 1] ~= group then
            only_for_another = is_native(entry[2], 1)
        end
    end
    return only_for_another and UNSEEN or allowed[job_type] or tonumber(ARGV[7]), job_type,
        entry[2]
end

local flow = ARGV[10] ~= '' and
    flow_control(stream, group, { unpack(KEYS, 7, 12) }, ARGV[10], now_ms())

local HEALED = 1000 -- parked entries looked at in one pass
local heal_from = '-'
local refs = { holders = KEYS[5], unheld = KEYS[6] }
local claimed, dead, acked, letters, deleted, removed, lost = {}, {}, {}, {}, {}, {}, {}
local waiters, following = listened_to(string.sub(dlq, 1, -4))
local feed = follow(following, stream)
local left, last_chances, waiting, read = most, tonumber(ARGV[8]), false, 0

local function lose(state, id, count, holder, job_type, err)
    if feed then
        feed.note(state, id, count, holder, job_type, nil, nil, nil, err and 'worker lost', err)
    end
    lost[#lost + 1] = id
    lost[#lost + 1] = count
    lost[#lost + 1] = holder
end

-- Returns whether the entry has been dealt with.
local function take(row)
    local id, count = row[1], row[4]
    local most_deliveries, job_type, fields = deliveries_allowed(id)
    local is_last = count + 1 == most_deliveries
    if is_last and last_chances == 0 then
        waiting = true
        return false
    end
    if most_deliveries and count >= most_deliveries then
        local err = 'its worker stopped answering during delivery ' .. count
            .. ', the last one allowed'
        letters[id], refs[id] = dead_letter(
            stream, dlq, id, count, row[2], 'worker lost', err, KEYS[5]
        )
        acked[#acked + 1] = id
        dead[#dead + 1] = id
        dead[#dead + 1] = count
        dead[#dead + 1] = job_type
        lose('dead', id, count, row[2], job_type, err)
        return true
    end
    local again = flow and most_deliveries and flow.again(id, fields) or 'now'
    if again == 'later' and is_last then
        return false -- those that crash their workers come one by one
    elseif again ~= 'now' then
        lose('reclaimed', id, count, row[2], job_type)
        return park(stream, retry, group, id, now_ms())
    end
    local reply = redis.call('XAUTOCLAIM', stream, group, consumer, lease, id, 'COUNT', 1)
    local entry = reply[2][1]
    if entry and entry[1] == id then
        claimed[#claimed + 1] = { id, entry[2], count + 1 }
        lose('reclaimed', id, count, row[2], job_type)
        read = read + size_of(entry[2])
        if is_last then
            last_chances = last_chances - 1
        end
    else
        for _, gone in ipairs(reply[3]) do
            deleted[#deleted + 1] = gone
        end
    end
    return true
end

-- Take over from one consumer, past those that must wait, but not past many of them.
local function take_from(name)
    local start, looked_at = '-', 0
    repeat
        local count = left
        local rows = redis.call('XPENDING', stream, group, 'IDLE', lease, start, '+', count, name)
        for _, row in ipairs(rows) do
            if take(row) then
                left = read < ENOUGH and left - 1 or 0
            end
            start = after(row[1])
            if left == 0 then
                break
            end
        end
        looked_at = looked_at + #rows
    until not start or #rows < count or left == 0 or looked_at >= 2 * most
end

for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local fields = {}
    for j = 1, #flat, 2 do
        fields[flat[j]] = flat[j + 1]
    end
    local name, pending = fields['name'], fields['pending']
    if name == PARKED then
        -- Every parked entry has its time in the set, or the set was lost: give each
        -- that lacks one a time, a bounded number in one pass.
        if pending > redis.call('ZCARD', retry) then
            local now = now_ms()
            local rows = redis.call('XPENDING', stream, group, ARGV[9], '+', HEALED, PARKED)
            for _, row in ipairs(rows) do
                redis.call('ZADD', retry, 'NX', now, row[1])
            end
            if #rows == HEALED then
                heal_from = after(rows[HEALED][1]) or '-'
            end
        end
    elseif name ~= HELD and pending == 0 then
        if fields['idle'] > tonumber(ARGV[6]) and name ~= consumer then
            redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
            removed[#removed + 1] = name
        end
    elseif name ~= HELD and left > 0 then -- a sweep looks after what is held
        take_from(name)
    end
end

if #acked > 0 then
    redis.call('XACK', stream, group, unpack(acked))
    remove_settled(stream, groups_of(stream), group, acked, refs)
    tell(waiters, acked, letters)
end
if feed then
    feed.publish()
end
local more = (left == 0 or waiting) and 1 or 0
if more == 1 then
    redis.call('DEL', lock)
end
return { claimed, dead, deleted, removed, more, heal_from, lost }
