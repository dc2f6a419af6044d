#!lua flags=allow-oom
-- Apply a batch of verdicts: ack, status record, retry time, dead letter, follow-up
-- events and deletion, for each job together or not at all. A verdict counts only
-- while the consumer holds the entry at the delivery that it was given.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   dead letters of the group
-- KEYS[4..] in the order of use: the target of each emitted event, the status record
--           of each verdict that has one, and the keys of data outside the stream
--
-- ARGV[1]   group
-- ARGV[2]   consumer
-- ARGV[3]   how long a status record is kept, ms
-- ARGV[4]   n, the number of verdicts
-- ARGV[5..] n pairs: entry ID, delivery count; then for each, in the same order:
--   s m                    succeeded, no record: this one and the m - 1 that follow
--   S m state type, then m times: data started finished
--                          done, and the record says how   [m keys: records]
--   R state type data started finished result note
--                          done, with a result or a note   [1 key: record]
--   r delay_ms error deliveries
--                          failed, another attempt follows; how many deliveries it may
--                          have is noted for those who look  [1 key: record]
--   d reason error         dead                            [1 key: record, deleted]
--   b                      given back: this delivery does not count
--   f for                  not for this group, but for another one; where there is none
--                          of that name, dead, and gone from the stream
--   before its verdict, where its data is kept outside the stream, and for each emitted event:
--   x ref                  where it is                     [2 keys: holders, unheld]
--   e n field value ...    n strings follow                [1 key: target]
--   E n data field value ...
--                          the same with n strings after `data`, which is kept outside the
--                          target                          [2 keys: target, data]
--
-- Returns a flat list of those refused: position (from 1), why. Why is '' (pending no
-- more), '=' .. consumer (who holds it), '!deleted' (no longer in the stream), or
-- '!emit' and what is known of it (a target takes no event).
--@include fence
--@include remove
--@include clock
--@include dead_letter
--@include park

local stream, retry, dlq = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, keep_ms, n = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local bad = wrong_type(retry, 'zset') or wrong_type(dlq, 'stream')
if bad then
    return bad
end

local ids, deliveries = {}, {}
for i = 1, n do
    ids[i] = ARGV[3 + 2 * i]
    deliveries[i] = ARGV[4 + 2 * i]
end
local others = strangers(stream, group, consumer, ids, deliveries)

local refused, acked = {}, {}
local groups, now, refs
local arg, key = 5 + 2 * n, 4

local function refuse(position, why)
    refused[#refused + 1] = position
    refused[#refused + 1] = why
end

local function refuse_stranger(position)
    refuse(position, others[position] == '' and '' or '=' .. others[position])
end

local function keep(record, delivery, state, type, data, started, finished)
    if delivery ~= '1' then
        redis.pcall('DEL', record) -- what an earlier, failed delivery left
    end
    if keep_ms > 0 then
        redis.pcall(
            'HSET', record, 'state', state, 'type', type, 'data', data,
            'attempts', delivery, 'started_at', started, 'finished_at', finished
        )
        redis.pcall('PEXPIRE', record, ARGV[3])
    end
end

local i = 0
while i < n do
    i = i + 1
    local id, events, targets_fit = ids[i], nil, true
    if ARGV[arg] == 'x' then
        refs = refs or { holders = KEYS[key], unheld = KEYS[key + 1] }
        refs[id] = ARGV[arg + 1]
        arg, key = arg + 2, key + 2
    end
    while ARGV[arg] == 'e' or ARGV[arg] == 'E' do
        local size, skip = tonumber(ARGV[arg + 1]), ARGV[arg] == 'E' and 1 or 0
        events = events or {}
        local first = arg + 2 + skip
        events[#events + 1] = { KEYS[key], first, first + size - 1, skip == 1 and key + 1 }
        targets_fit = targets_fit and is_a(KEYS[key], 'stream')
        arg, key = first + size, key + 1 + skip
    end
    local ours = others[i] == nil
    if not ours then
        refuse_stranger(i)
    elseif not targets_fit then
        refuse(i, '!emit')
        ours = false
    end
    if ours and events then
        for j, event in ipairs(events) do
            -- An error that stopped the script would leave the events of other jobs
            -- behind, and do so again each time the batch is sent.
            local kept = event[4] and redis.pcall('SET', KEYS[event[4]], ARGV[event[2] - 1])
            local written = kept and kept.err and kept
                or redis.pcall('XADD', event[1], '*', unpack(ARGV, event[2], event[3]))
            if type(written) ~= 'string' then
                for undone = 1, j do
                    if undone < j then
                        redis.call('XDEL', events[undone][1], events[undone].id)
                    end
                    if events[undone][4] then
                        redis.pcall('DEL', KEYS[events[undone][4]])
                    end
                end
                refuse(i, '!emit' .. written.err)
                ours = false
                break
            end
            event.id = written
        end
    end
    local verdict = ARGV[arg]
    if verdict == 's' then
        if ours then
            acked[#acked + 1] = id
        end
        for _ = 2, tonumber(ARGV[arg + 1]) do
            i = i + 1
            if others[i] == nil then
                acked[#acked + 1] = ids[i]
            else
                refuse_stranger(i)
            end
        end
        arg = arg + 2
    elseif verdict == 'S' then
        local last, state, type = i + ARGV[arg + 1] - 1, ARGV[arg + 2], ARGV[arg + 3]
        arg = arg + 4
        while true do
            if ours then
                keep(
                    KEYS[key], deliveries[i], state, type,
                    ARGV[arg], ARGV[arg + 1], ARGV[arg + 2]
                )
                acked[#acked + 1] = ids[i]
            end
            arg, key = arg + 3, key + 1
            if i == last then
                break
            end
            i = i + 1
            ours = others[i] == nil
            if not ours then
                refuse_stranger(i)
            end
        end
    elseif verdict == 'R' then
        if ours then
            keep(KEYS[key], deliveries[i], unpack(ARGV, arg + 1, arg + 5))
            if keep_ms > 0 and ARGV[arg + 6] ~= '' then
                redis.pcall('HSET', KEYS[key], 'result', ARGV[arg + 6])
            end
            if keep_ms > 0 and ARGV[arg + 7] ~= '' then
                redis.pcall('HSET', KEYS[key], 'note', ARGV[arg + 7])
            end
            acked[#acked + 1] = id
        end
        arg, key = arg + 8, key + 1
    elseif verdict == 'r' then
        if ours then
            now = now or now_ms()
            local delay, record = tonumber(ARGV[arg + 1]), KEYS[key]
            if park(stream, retry, group, id, now + delay) then
                redis.pcall(
                    'HSET', record, 'error', ARGV[arg + 2], 'failed_at', now,
                    'deliveries', ARGV[arg + 3]
                )
                redis.pcall('PEXPIRE', record, delay + 86400000)
            else
                refuse(i, '!deleted')
            end
        end
        arg, key = arg + 4, key + 1
    elseif verdict == 'd' then
        if ours then
            dead_letter(stream, dlq, id, deliveries[i], consumer, ARGV[arg + 1], ARGV[arg + 2],
                refs and refs.holders)
            redis.pcall('DEL', KEYS[key])
            acked[#acked + 1] = id
        end
        arg, key = arg + 3, key + 1
    elseif verdict == 'b' then
        arg = arg + 1
        if ours then
            now = now or now_ms()
            local count = math.max(tonumber(deliveries[i]) - 1, 0)
            if not park(stream, retry, group, id, now, count) then
                refuse(i, '!deleted')
            end
        end
    elseif verdict == 'f' then
        if ours then
            groups = groups or groups_of(stream)
            local known = false
            for _, other in ipairs(groups) do
                known = known or other.name == ARGV[arg + 1]
            end
            if not known and #redis.call('XRANGE', stream, id, id) == 1 then
                -- It goes at once: the other groups are not to make a dead letter of it too.
                dead_letter(stream, dlq, id, deliveries[i], consumer, 'no such group',
                    'the entry is for the group ' .. ARGV[arg + 1] .. ', which does not exist',
                    refs and refs.holders)
                remove(stream, { id }, refs or {})
            end
            acked[#acked + 1] = id
        end
        arg = arg + 2
    end
end

if #acked > 0 then
    redis.call('XACK', stream, group, unpack(acked))
    remove_settled(stream, groups or groups_of(stream), group, acked, refs)
end
return refused
