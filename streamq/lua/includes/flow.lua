--@include native
--@include park
--@include types

-- Flow control of one group: which of its jobs may run now, which wait, and for what.
--
-- A job that may not run yet stays pending, under the consumer ~held, and its delivery
-- count stays what it was. It waits in one of three places: in the line of its key or of
-- its paused type (`lines`), for its turn by a rate (`due`), or for room in the group
-- (`queue`). Those that have their key are counted in `busy`.
--
-- keys    hash    entry ID -> 'w' (waits in the line of) or 'h' (has), and a token
-- busy    hash    token -> how many have it
-- lines   zset    token ':' place, in the order of bytes
-- due     zset    entry ID -> when a rate allows it, ms
-- queue   zset    entry ID -> since when it waits for room
-- rates   zset    token, or '' for the group -> theoretical arrival time, ms (GCRA)
--
-- Rules are a JSON object, each of them optional: limit (jobs of a key at once), block
-- (whether a key waits for its job's retry), max_in_flight, rate and rate_per_key (each
-- {ms between two, burst}), max_held, key_from (the path of a field of the data), paused
-- (types).
local LONGEST_KEY = 512
local ROUNDS = 100 -- entries of a line, deleted while they were held, that are passed over at once

-- An error when one of the keys holds something else.
local function wrong_flow(names)
    for i, kind in ipairs({ 'hash', 'hash', 'zset', 'zset', 'zset', 'zset' }) do
        local bad = wrong_type(names[i], kind)
        if bad then
            return bad
        end
    end
end

-- IDs as strings that sort as the IDs do.
local function place_of(id)
    local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
    return string.char(64 + #ms) .. ms .. string.char(64 + #sequence) .. sequence
end

-- Of a place that somebody has written by hand: no ID.
local function id_at(place)
    local size = (string.byte(place) or 64) - 64
    return string.sub(place, 2, 1 + size) .. '-' .. string.sub(place, 3 + size)
end

local function token_for(kind, name)
    if #name > LONGEST_KEY then
        name = 'sha1 ' .. redis.sha1hex(name)
    end
    return kind .. #name .. ':' .. name
end

local function type_and_target(fields)
    local job_type, target = '', nil
    for i = 1, #fields, 2 do
        if fields[i] == 'type' then
            job_type = fields[i + 1]
        elseif fields[i] == 'for' and is_native(fields, 1) then
            target = fields[i + 1]
        end
    end
    return job_type, target
end

-- A function that tells what a held job waits for, and its place or time.
local function waiting_in(names)
    local keys, _, lines, due, queue = unpack(names)
    return function(id, fields)
        local noted = redis.call('HGET', keys, id)
        if noted and string.sub(noted, 1, 1) == 'w' then
            local line = string.sub(noted, 2) .. ':'
            local ahead = redis.call('ZLEXCOUNT', lines, '[' .. line, '(' .. line .. place_of(id))
            return 'key', ahead + 1
        end
        local at = redis.call('ZSCORE', due, id)
        if at then
            return 'rate', at
        end
        local rank = redis.call('ZRANK', queue, id)
        if rank then
            return 'room', rank + 1
        end
        local line = token_for('t', (type_and_target(fields))) .. ':'
        if redis.call('ZSCORE', lines, line .. place_of(id)) then
            return 'paused', 0
        end
        return '', 0
    end
end

local function flow_control(stream, group, names, packed, now)
    local keys, busy, lines, due, queue, rates = unpack(names)
    local rules = cjson.decode(packed)
    local flow = { rules = rules, freed = {} }
    local paused, count, held = {}, nil, 0
    for _, type in ipairs(rules.paused or {}) do
        paused[type] = true
    end

    local function holder_of(id)
        local rows = redis.pcall('XPENDING', stream, group, id, id, 1) -- it may be no ID
        local row = not rows.err and rows[1]
        return row and row[2], row and row[4]
    end
    flow.holder_of = holder_of

    -- How many jobs of the group are in flight, with whatever worker.
    function flow.in_flight()
        if not count then
            local pending = redis.call('XPENDING', stream, group)
            count = pending[1]
            for _, consumer in ipairs(pending[4] or {}) do
                if consumer[1] == HELD then
                    held = tonumber(consumer[2])
                end
                if consumer[1] == HELD or consumer[1] == PARKED then
                    count = count - tonumber(consumer[2])
                end
            end
        end
        return count
    end

    -- How many are held.
    function flow.held()
        flow.in_flight()
        return held
    end

    -- How many more may be in flight.
    function flow.room()
        return rules.max_in_flight and rules.max_in_flight - flow.in_flight() or math.huge
    end

    local function line(token)
        return '[' .. token .. ':', '(' .. token .. ';'
    end

    local function member(token, id)
        return token .. ':' .. place_of(id)
    end

    local function is_busy(token)
        return tonumber(redis.call('HGET', busy, token) or 0) >= rules.limit
    end

    local function join(token, id)
        redis.call('HSET', keys, id, 'w' .. token)
        redis.call('ZADD', lines, 0, member(token, id))
        return false
    end

    local function have(token, id)
        redis.call('HSET', keys, id, 'h' .. token)
        redis.call('HINCRBY', busy, token, 1)
    end

    -- Let a job give up what it has or waits for.
    function flow.leave(id)
        local noted = redis.call('HGET', keys, id)
        if noted then
            local token = string.sub(noted, 2)
            redis.call('HDEL', keys, id)
            if string.sub(noted, 1, 1) == 'w' then
                redis.call('ZREM', lines, member(token, id))
            else
                if redis.call('HINCRBY', busy, token, -1) <= 0 then
                    redis.call('HDEL', busy, token)
                end
                flow.freed[token] = true
            end
        end
    end

    -- Let a job leave whatever it waits for. Who is next is the sweep's business, for only
    -- workers know the rules.
    function flow.forget(id)
        flow.leave(id)
        redis.call('ZREM', due, id)
        redis.call('ZREM', queue, id)
    end

    -- The next time that a rate allows; it is taken. "GCRA": ATM Forum TM 4.0, annex.
    local function reserve(rate, token)
        local arrival = tonumber(redis.call('ZSCORE', rates, token) or 0)
        local until_then = math.max(arrival, now) + rate[1]
        redis.call('ZADD', rates, string.format('%.3f', until_then), token)
        -- With the last of these times the key is as good as none.
        local ttl = string.format('%.0f', math.ceil(until_then - now) + 1)
        if redis.call('PEXPIRE', rates, ttl, 'NX') == 0 then
            redis.call('PEXPIRE', rates, ttl, 'GT')
        end
        return math.max(now, arrival - (rate[2] - 1) * rate[1])
    end

    local function allows(rate, token)
        local arrival = rate and tonumber(redis.call('ZSCORE', rates, token) or 0) or 0
        return not rate or arrival - (rate[2] - 1) * rate[1] <= now
    end

    -- How many a rate of the group allows within some ms.
    function flow.allowed(within)
        if not rules.rate then
            return math.huge
        end
        local interval, burst = rules.rate[1], rules.rate[2]
        local arrival = math.max(tonumber(redis.call('ZSCORE', rates, '') or 0), now)
        return math.floor((now + within - arrival) / interval + burst)
    end

    -- A job has its key: it may run, unless a rate or the group's room says later.
    local function go(id, token, rated, job_type)
        if paused[job_type] then
            redis.call('ZADD', lines, 0, member(token_for('t', job_type), id))
            return false
        end
        if not rated and (rules.rate or rules.rate_per_key) then
            local at = now
            if rules.rate_per_key and token then
                at = reserve(rules.rate_per_key, token)
            end
            if rules.rate then
                at = math.max(at, reserve(rules.rate, ''))
            end
            if at > now then
                redis.call('ZADD', due, string.format('%.3f', at), id)
                return false
            end
        end
        -- Behind those that wait for room, or a key with many jobs would always be before them.
        if rules.max_in_flight and (flow.room() <= 0 or redis.call('ZCARD', queue) > 0) then
            redis.call('ZADD', queue, now, id)
            return false
        end
        if count then
            count = count + 1
        end
        return true
    end

    local function key_in(fields)
        local path, data = rules.key_from, nil
        for i = 1, #fields, 2 do
            if fields[i] == 'data' then
                data = fields[i + 1]
            end
        end
        if not path or not data then
            -- A foreign entry's fields are its data, not streamq's.
            local wanted = path and not path[2] and path[1] or not path and data and 'key'
            for i = 1, #fields, 2 do
                if fields[i] == wanted then
                    return fields[i + 1]
                end
            end
            return nil
        end
        local read, value = pcall(cjson.decode, data)
        for _, part in ipairs(path) do
            if not read or type(value) ~= 'table' then
                return nil
            end
            value = value[part]
        end
        if type(value) == 'number' then
            return string.format('%.17g', value)
        end
        return type(value) == 'string' and value or nil
    end

    local function token_of(fields)
        if rules.limit or rules.rate_per_key then
            local key = key_in(fields)
            return key and key ~= '' and token_for('k', key) or nil
        end
    end

    -- Whether a job whose worker was lost may begin again: 'now', when the rates allow it,
    -- which is taken; 'later', when they do not; 'no' for one of a paused type, or without
    -- its key.
    function flow.again(id, fields)
        local job_type, target = type_and_target(fields)
        if target and target ~= group then
            return 'now'
        end
        local token = token_of(fields)
        if paused[job_type]
            or (token and rules.limit and redis.call('HGET', keys, id) ~= 'h' .. token) then
            return 'no'
        end
        local per_key = token and rules.rate_per_key
        if not allows(per_key, token) or not allows(rules.rate, '') then
            return 'later'
        end
        if per_key then
            reserve(per_key, token)
        end
        if rules.rate then
            reserve(rules.rate, '')
        end
        return 'now'
    end

    -- Whether a job may run now; if not, it is noted where it waits. `rated`: a rate has
    -- allowed it already.
    function flow.admit(id, fields, rated)
        local job_type, target = type_and_target(fields)
        if target and target ~= group then
            return true -- it is settled unseen
        end
        local token = token_of(fields)
        if token and rules.limit then
            local noted = redis.call('HGET', keys, id)
            if noted ~= 'h' .. token then
                if noted then
                    flow.leave(id)
                end
                local first, last = line(token)
                if is_busy(token) or redis.call('ZLEXCOUNT', lines, first, last) > 0 then
                    return join(token, id)
                end
                have(token, id)
            end
        end
        return go(id, token, rated, job_type)
    end

    -- Take the first out of a line; nil when there is none. It keeps what it has.
    function flow.first_in(token)
        local first, last = line(token)
        local found = redis.call('ZRANGE', lines, first, last, 'BYLEX', 'LIMIT', 0, 1)[1]
        if not found then
            return nil
        end
        local id = id_at(string.sub(found, #token + 2))
        redis.call('ZREM', lines, found)
        return id
    end

    -- Only to tell whether it is paused.
    local function type_of(id)
        local entry = next(paused) and redis.call('XRANGE', stream, id, id)[1]
        return entry and type_and_target(entry[2])
    end

    -- Let the next ones in for what was given up, `most` of a key. Returns the IDs of those
    -- that may run.
    function flow.serve(most)
        local ready = {}
        for token in pairs(flow.freed) do
            local served = 0
            while served < most and not (rules.limit and is_busy(token)) do
                local id = flow.first_in(token)
                if not id then
                    break
                end
                redis.call('HDEL', keys, id)
                if holder_of(id) == HELD then
                    served = served + 1
                    if rules.limit then
                        have(token, id)
                    end
                    if go(id, token, false, type_of(id)) then
                        ready[#ready + 1] = id
                    end
                end
            end
        end
        flow.freed = {}
        while #ready < most and flow.room() > 0 do
            local id = redis.call('ZPOPMIN', queue)[1]
            if not id then
                break
            elseif holder_of(id) == HELD then
                ready[#ready + 1] = id
                if count then
                    count = count + 1
                end
            end
        end
        return ready
    end

    -- Hand a held job to a consumer: {ID, fields, delivery count}; nil when its entry is gone.
    function flow.hand_out(id, consumer)
        local _, deliveries = holder_of(id)
        local entry = redis.call('XCLAIM', stream, group, consumer, 0, id)[1]
        if not entry then
            flow.leave(id)
            if count then
                count = count - 1
            end
            return nil
        end
        return { id, entry[2], deliveries + 1 }
    end

    -- Let jobs that may run wait for the next worker that asks.
    function flow.offer(id)
        redis.call('ZADD', due, now, id)
        if count then
            count = count - 1
        end
    end

    return flow
end
