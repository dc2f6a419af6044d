-- The body of the scripts that settle; `settle.lua` has the form of their arguments.
--
-- FIRST_KEY says where the keys of the verdicts begin. What it leaves behind: `refused`, as it is
-- to be returned, and the IDs of `acked` and `parked` entries.
--@include fence
--@include remove
--@include clock
--@include dead_letter
--@include follow
--@include history
--@include park
--@include tell

local stream, retry, dlq, cancelled = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, keep_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local most, n = tonumber(ARGV[4]), tonumber(ARGV[5])
local with_history = most > 0 and keep_ms > 0

local bad = wrong_type(retry, 'zset') or wrong_type(dlq, 'stream')
if bad then
    return bad
end

local ids, deliveries = {}, {}
for i = 1, n do
    ids[i] = ARGV[4 + 2 * i]
    deliveries[i] = ARGV[5 + 2 * i]
end
local others = strangers(stream, group, consumer, ids, deliveries)

local refused, acked, parked = {}, {}, {}
local waiting, following = listened_to(string.sub(dlq, 1, -4))
local feed = follow(following, stream) -- nil, most of the time
local groups, now, letters, refs
local arg, key = 6 + 2 * n, FIRST_KEY

local function refuse(position, why)
    refused[#refused + 1] = position
    refused[#refused + 1] = why
end

local function refuse_stranger(position)
    refuse(position, others[position] == '' and '' or '=' .. others[position])
end

local function bury(id, delivery, reason, err, traceback)
    letters = letters or {}
    letters[id] = dead_letter(
        stream, dlq, id, delivery, consumer, reason, err, refs and refs.holders, traceback
    )
end

-- The field that says which events a job has written, for those who look, and its value.
local EMITTED_KEPT = 50
local function emitted(events)
    if events then
        local told = { #events }
        for i = 1, math.min(#events, EMITTED_KEPT) do
            told[i + 1] = events[i].id .. ' ' .. events[i][1]
        end
        return 'emitted', table.concat(told, '\n')
    end
end

local function keep(record, delivery, state, type, data, started, finished, events)
    if delivery ~= '1' then
        clear(record, with_history) -- of what an earlier, failed delivery left
    end
    if keep_ms > 0 then
        redis.pcall(
            'HSET', record, 'state', state, 'type', type, 'data', data,
            'attempts', delivery, 'started_at', started, 'finished_at', finished,
            emitted(events)
        )
        if delivery ~= '1' and most > 0 then -- at the first, that is all there is to tell
            redis.pcall('HSET', record, remember(
                record, most, delivery, state, started, finished, consumer, ''
            ))
        end
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
    if ARGV[arg] == 'p' then
        if ours then
            redis.pcall('HDEL', KEYS[key], 'progress', 'progress_note', 'progress_of')
        end
        arg, key = arg + 1, key + 1
    end
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
    local trace = nil
    if ARGV[arg] == 't' then
        trace, arg = ARGV[arg + 1], arg + 2
    end
    local verdict = ARGV[arg]
    if verdict == 's' or verdict == 'k' then
        local state = feed and (verdict == 's' and 'succeeded' or 'skipped')
        if ours then
            acked[#acked + 1] = id
            if feed then
                feed.note(state, id, deliveries[i], consumer)
            end
        end
        for _ = 2, tonumber(ARGV[arg + 1]) do
            i = i + 1
            if others[i] == nil then
                acked[#acked + 1] = ids[i]
                if feed then
                    feed.note(state, ids[i], deliveries[i], consumer)
                end
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
                    ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], events
                )
                acked[#acked + 1] = ids[i]
                if feed then
                    feed.note(
                        state, ids[i], deliveries[i], consumer, type, ARGV[arg + 1], ARGV[arg + 2]
                    )
                end
            end
            arg, key = arg + 3, key + 1
            if i == last then
                break
            end
            i = i + 1
            ours, events = others[i] == nil, nil
            if not ours then
                refuse_stranger(i)
            end
        end
    elseif verdict == 'R' then
        if ours then
            local state, type, data, started, finished = unpack(ARGV, arg + 1, arg + 5)
            keep(KEYS[key], deliveries[i], state, type, data, started, finished, events)
            if keep_ms > 0 and ARGV[arg + 6] ~= '' then
                redis.pcall('HSET', KEYS[key], 'result', ARGV[arg + 6])
            end
            if keep_ms > 0 and ARGV[arg + 7] ~= '' then
                redis.pcall('HSET', KEYS[key], 'note', ARGV[arg + 7])
            end
            acked[#acked + 1] = id
            if feed then
                feed.note(
                    ARGV[arg + 1], id, deliveries[i], consumer, ARGV[arg + 2], ARGV[arg + 4],
                    ARGV[arg + 5], nil, nil, ARGV[arg + 7]
                )
            end
        end
        arg, key = arg + 8, key + 1
    elseif verdict == 'r' then
        if ours then
            now = now or now_ms()
            local delay, record, err = tonumber(ARGV[arg + 1]), KEYS[key], ARGV[arg + 2]
            local how, began, ended = ARGV[arg + 4], ARGV[arg + 5], ARGV[arg + 6]
            if redis.call('SISMEMBER', cancelled, id) == 1 then
                keep(record, deliveries[i], 'cancelled', '', '', began, ended)
                acked[#acked + 1] = id
                if feed then
                    feed.note(
                        'cancelled', id, deliveries[i], consumer, nil, began, ended, nil, nil, err
                    )
                end
            elseif park(stream, retry, group, id, now + delay) then
                parked[#parked + 1] = id
                if feed then
                    feed.note(
                        'retrying', id, deliveries[i], consumer, nil, began, ended, now + delay,
                        nil, err
                    )
                end
                redis.pcall(
                    'HSET', record, 'error', err, 'failed_at', now, 'deliveries', ARGV[arg + 3],
                    remember(record, most, deliveries[i], how, began, ended, consumer, err)
                )
                if trace then
                    redis.pcall('HSET', record, 'trace', trace)
                end
                redis.pcall('PEXPIRE', record, delay + 86400000)
            else
                refuse(i, '!deleted')
            end
        end
        arg, key = arg + 7, key + 1
    elseif verdict == 'd' then
        if ours then
            bury(id, deliveries[i], ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3])
            local record, began, ended = KEYS[key], ARGV[arg + 5], ARGV[arg + 6]
            clear(record, with_history)
            if with_history then
                redis.pcall('HSET', record, remember(
                    record, most, deliveries[i], ARGV[arg + 4], began, ended, consumer,
                    ARGV[arg + 2]
                ))
                redis.pcall('PEXPIRE', record, ARGV[3])
            end
            acked[#acked + 1] = id
            if feed then
                feed.note(
                    'dead', id, deliveries[i], consumer, nil, began, ended, nil, ARGV[arg + 1],
                    ARGV[arg + 2]
                )
            end
        end
        arg, key = arg + 7, key + 1
    elseif verdict == 'b' then
        arg = arg + 1
        if ours then
            now = now or now_ms()
            local count = math.max(tonumber(deliveries[i]) - 1, 0)
            local state = 'released'
            if redis.call('SISMEMBER', cancelled, id) == 1 then
                acked[#acked + 1] = id
                state = 'cancelled'
            elseif not park(stream, retry, group, id, now, count) then
                refuse(i, '!deleted')
                state = nil
            end
            if feed and state then
                feed.note(state, id, deliveries[i], consumer)
            end
        end
    elseif verdict == 'f' then
        if ours then
            groups = groups or groups_of(stream)
            local known = false
            for _, other in ipairs(groups) do
                known = known or other.name == ARGV[arg + 1]
            end
            local lost = not known and #redis.call('XRANGE', stream, id, id) == 1
            if feed then
                feed.note(
                    lost and 'dead' or 'skipped', id, deliveries[i], consumer, nil, nil, nil, nil,
                    lost and 'no such group' or nil
                )
            end
            if lost then
                -- It goes at once: the other groups are not to make a dead letter of it too.
                bury(id, deliveries[i], 'no such group',
                    'the entry is for the group ' .. ARGV[arg + 1] .. ', which does not exist')
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
    tell(waiting, acked, letters)
end
if feed then
    feed.publish()
end
