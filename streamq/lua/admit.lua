#!lua flags=allow-oom
-- Read for a group with rules: due retries, held jobs whose time or turn has come, then
-- new entries, in the order of their IDs. Those that may not run yet are held.
--
-- Reading and deciding is one step, so two workers that read side by side cannot swap
-- two jobs of a key.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3..8] flow control: keys, busy, lines, due, queue, rates
-- KEYS[9]   cancelled jobs of the group
-- ARGV[1]   group
-- ARGV[2]   consumer
-- ARGV[3]   how many at most
-- ARGV[4]   the rules, as JSON
--
-- Returns {ms until it is worth asking again, or -1 for unknown,
--          {{entry ID, {field, value, ...}, delivery count}, ...},
--          {entry IDs that are no longer in the stream},
--          the entry ID after which new ones are to be waited for; '' when there are more
--          that may be read, '!' when none may be read now,
--          1 when any job of the group is cancelled, else 0}
--@include clock
--@include flow
--@include groups
--@include size

local READ = 250 -- entries, to find keys that are free
local AHEAD = 1000 -- ms of a rate for which entries are read
local stream, retry, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local due, queue, lines = KEYS[6], KEYS[7], KEYS[5]
local left, now = tonumber(ARGV[3]), now_ms()
local bad = wrong_flow({ unpack(KEYS, 3, 8) }) or wrong_type(retry, 'zset')
if bad then
    return bad
end
local flow = flow_control(stream, group, { unpack(KEYS, 3, 8) }, ARGV[4], now)
local rules = flow.rules
local given, deleted, read = {}, {}, 0

local function give(id)
    local delivery = flow.hand_out(id, consumer)
    if delivery then
        given[#given + 1] = delivery
        left = left - 1
        read = read + size_of(delivery[2])
    else
        deleted[#deleted + 1] = id
    end
end

local function hold(id)
    redis.call('XCLAIM', stream, group, HELD, 0, id, 'JUSTID')
end

-- The fields of an entry; nil, and noted, when it is no longer in the stream.
local function fields_in_stream(id)
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if entry then
        return entry[2]
    end
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID') -- drops it
    flow.leave(id)
    deleted[#deleted + 1] = id
end

-- Those of a set whose time has come, as long as they are held by `expected`.
local function take_due(set, expected, rated)
    for _, id in ipairs(redis.call('ZRANGE', set, '-inf', now, 'BYSCORE', 'LIMIT', 0, left)) do
        local holder = redis.pcall('XPENDING', stream, group, id, id, 1)
        redis.call('ZREM', set, id)
        if not holder.err and holder[1] and holder[1][2] == expected then
            local fields = fields_in_stream(id)
            if fields and flow.admit(id, fields, rated) then
                give(id)
            elseif fields and expected ~= HELD then
                hold(id)
            end
        end
        if read >= ENOUGH then
            return
        end
    end
end

take_due(due, HELD, true)
take_due(retry, PARKED, false)
for _ = 1, ROUNDS do
    for _, id in ipairs(flow.serve(left)) do
        if left > 0 then
            give(id)
        else
            flow.offer(id)
        end
    end
    if not next(flow.freed) then
        break
    end
end

-- New entries: no more than may run by the rules of the group, for the others are better
-- off in the stream than held. Where keys have limits they are read ahead, or a key with
-- many jobs would keep the others from being seen.
local most = math.min(left, flow.room(), flow.allowed(AHEAD))
if rules.limit and left > 0 and flow.allowed(AHEAD) >= 1 then
    most = redis.call('ZCARD', queue) < READ and READ or 0
end
local held = redis.call('ZCARD', lines) + redis.call('ZCARD', due) + redis.call('ZCARD', queue)
most = math.min(most, rules.max_held - held)
local watch = '!'
if most >= 1 and read < ENOUGH then
    local claim = { 'XCLAIM', stream, group, HELD, 0 }
    -- As many as there is room for, and more by what came of these: what may run and finds no room
    -- has to be looked at twice.
    local page, whole = math.min(most, left), true
    while whole and page >= 1 do
        local reply = redis.call(
            'XREADGROUP', 'GROUP', group, consumer, 'COUNT', page, 'STREAMS', stream, '>'
        )
        local entries, room = reply and reply[1] and reply[1][2] or {}, left
        for _, entry in ipairs(entries) do
            if not flow.admit(entry[1], entry[2], false) then
                claim[#claim + 1] = entry[1]
            elseif left > 0 then
                given[#given + 1] = { entry[1], entry[2], 1 }
                left = left - 1
            else
                flow.offer(entry[1])
                claim[#claim + 1] = entry[1]
            end
        end
        most, whole = most - #entries, #entries == page
        local taken = room - left
        page = math.min(most, taken > 0 and math.ceil(left * page / taken) or 2 * page)
    end
    if #claim > 5 then
        claim[#claim + 1] = 'RETRYCOUNT'
        claim[#claim + 1] = 0
        claim[#claim + 1] = 'JUSTID'
        redis.call(unpack(claim))
    end
    watch = ''
    if not whole then
        for _, one in ipairs(groups_of(stream)) do
            watch = one.name == group and one.last or watch
        end
    end
end

-- When the next one is due, or the rate of the group allows more to be read.
local next_at = math.huge
for _, set in ipairs({ due, retry }) do
    local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
    if first[2] then
        next_at = math.min(next_at, tonumber(first[2]))
    end
end
if watch == '!' and rules.rate and flow.allowed(AHEAD) < 1 then
    next_at = math.min(next_at, now + AHEAD / 2)
end
local next_in = next_at == math.huge and -1 or math.max(math.ceil(next_at - now), 0)
return { next_in, given, deleted, watch, redis.call('EXISTS', KEYS[9]) }
