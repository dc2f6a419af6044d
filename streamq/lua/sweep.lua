#!lua flags=allow-oom
-- Put right what other hands have left of a group's flow control: jobs that have a key and
-- are no longer pending, held jobs that no line knows, lines that nobody serves, rules and
-- pauses that are no more. A bounded number in one pass.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3..8] flow control: keys, busy, lines, due, queue, rates
-- KEYS[9]   cancelled jobs of the group
-- ARGV[1]   group
-- ARGV[2]   the rules, as JSON; '' for none
-- ARGV[3]   where to go on in the held jobs: what the last pass returned, or '-'
-- ARGV[4]   likewise in the jobs with keys, or '0'
-- ARGV[5]   likewise in the lines, or ''
--
-- Returns {how many jobs may run now that could not before, and the three places}.
--@include after
--@include clock
--@include groups
--@include ids
--@include flow

local LOOK, LINES, COUNTED = 1000, 100, 10000
local stream, retry, group = KEYS[1], KEYS[2], ARGV[1]
local keys, busy, lines, due, queue, rates = unpack(KEYS, 3, 8)
local now = now_ms()
local bad = ARGV[2] ~= '' and wrong_flow({ unpack(KEYS, 3, 8) })
if bad then
    return bad
end

local function held(start)
    return redis.call('XPENDING', stream, group, start, '+', LOOK, HELD)
end

-- Jobs that were cancelled, and have ended in whatever way. SRANDMEMBER looks at others in the
-- next pass.
local last = nil
for _, id in ipairs(redis.call('SRANDMEMBER', KEYS[9], LINES)) do
    for _, one in ipairs(last and {} or groups_of(stream)) do
        last = one.name == group and one.last or last
    end
    if last and not before(last, id) and #redis.call('XPENDING', stream, group, id, id, 1) == 0 then
        redis.call('SREM', KEYS[9], id)
    end
end

if redis.call('EXISTS', unpack(KEYS, 3, 8)) == 0 and #held('-') == 0 then
    return { 0, '-', '0', '' }
end
if ARGV[2] == '' then
    -- There are no rules any more: all that is held may run.
    local rows = held('-')
    for _, row in ipairs(rows) do
        park(stream, retry, group, row[1], now)
    end
    if #rows < LOOK then
        redis.call('DEL', unpack(KEYS, 3, 8))
    end
    return { #rows, '-', '0', '' }
end

local flow = flow_control(stream, group, { unpack(KEYS, 3, 8) }, ARGV[2], now)
local paused = {}
for _, type in ipairs(flow.rules.paused or {}) do
    paused[token_for('t', type)] = true
end
local moved = 0

-- Held jobs that wait nowhere: looked for where there are more of them than wait.
local waiting = redis.call('ZCARD', lines) + redis.call('ZCARD', due) + redis.call('ZCARD', queue)
local rows, healed = {}, '-'
if flow.held() > waiting then
    rows = held(ARGV[3])
end
for _, row in ipairs(rows) do
    local id = row[1]
    local noted = redis.call('HGET', keys, id)
    local waits = noted and string.sub(noted, 1, 1) == 'w'
        and redis.call('ZSCORE', lines, string.sub(noted, 2) .. ':' .. place_of(id))
    if not waits and not redis.call('ZSCORE', due, id) and not redis.call('ZSCORE', queue, id) then
        -- As a retry that is due it will be admitted anew, by all rules.
        park(stream, retry, group, id, now)
        moved = moved + 1
    end
end
if #rows == LOOK then
    healed = after(rows[LOOK][1]) or '-'
end

-- Jobs that have a key, or wait for one, and are not pending or not held any more.
local scanned = redis.call('HSCAN', keys, ARGV[4], 'COUNT', LOOK)
for i = 1, #scanned[2], 2 do
    local id = scanned[2][i]
    local holder = flow.holder_of(id)
    if not holder or (string.sub(scanned[2][i + 1], 1, 1) == 'w' and holder ~= HELD) then
        flow.leave(id)
    end
end

-- Counts that do not fit what is noted: a key could be busy for ever.
if #rows == 0 and redis.call('HLEN', busy) <= COUNTED then
    local have = redis.call('HLEN', keys) - redis.call('ZLEXCOUNT', lines, '[k', '(l')
    local counts = redis.call('HGETALL', busy)
    for i = 2, #counts, 2 do
        have = have - (tonumber(counts[i]) or 0)
    end
    if have ~= 0 then
        redis.call('DEL', busy)
        local place = '0'
        repeat
            local page = redis.call('HSCAN', keys, place, 'COUNT', LOOK)
            place = page[1]
            for i = 2, #page[2], 2 do
                if string.sub(page[2][i], 1, 1) == 'h' then
                    redis.call('HINCRBY', busy, string.sub(page[2][i], 2), 1)
                end
            end
        until place == '0'
    end
end

local function resume(token)
    for _ = 1, LOOK do
        local id = flow.first_in(token)
        if not id then
            break
        elseif flow.holder_of(id) == HELD then
            -- It has not been admitted yet: as a retry that is due it will be.
            park(stream, retry, group, id, now)
            moved = moved + 1
        end
    end
end

-- Lines whose key is free, whose type is no longer paused.
local token, looked_at = ARGV[5], 0
while looked_at < LINES do
    local start = token == '' and '-' or '(' .. token .. ';'
    local found = redis.call('ZRANGE', lines, start, '+', 'BYLEX', 'LIMIT', 0, 1)[1]
    if not found then
        token = ''
        break
    end
    local digits = string.match(found, '^[kt](%d+):') or ''
    local ends = 2 + #digits + (tonumber(digits) or #found)
    looked_at = looked_at + 1
    if string.sub(found, ends + 1, ends + 1) ~= ':' then
        redis.call('ZREM', lines, found) -- written by other hands
    else
        token = string.sub(found, 1, ends)
        if string.sub(token, 1, 1) == 'k' then
            flow.freed[token] = true
        elseif not paused[token] then
            resume(token)
        end
    end
end
for _, id in ipairs(flow.serve(LOOK)) do
    flow.offer(id)
    moved = moved + 1
end
redis.call('ZREMRANGEBYSCORE', rates, '-inf', now)
return { moved, healed, scanned[1], token }
