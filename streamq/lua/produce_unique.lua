#!lua
-- Write a job, now or later, under an idempotency key with rules of its own: what else makes
-- the key free than time, and what becomes of a job that finds it taken. Done twice with the
-- same name, it is done once.
--
-- KEYS[1]   stream
-- KEYS[2]   scheduled set of the stream
-- KEYS[3]   scheduled jobs of the stream
-- KEYS[4]   the idempotency key's string
-- KEYS[5]   the string that tells a repeated call what the first one has made
-- KEYS[6]   holders of data that is kept outside the stream; only with 'replace'
-- KEYS[7]   such data that nobody holds; likewise
-- ARGV[1]   the call's name, which a schedule has that it makes
-- ARGV[2]   'now', 'in' or 'at'
-- ARGV[3]   ms from now, or Unix time in ms
-- ARGV[4]   how long the idempotency key is remembered from the job's time on, ms
-- ARGV[5]   how long a repeated call is told, ms
-- ARGV[6]   'time', or 'settled': the key is also free when its job is settled or gone
-- ARGV[7]   where it is taken: 'keep' the job that has it, 'replace' that one while it is
--           scheduled (one in the stream runs, and this one as well), or 'error'
-- ARGV[8]   the idempotency key, to be forgotten when the schedule is cancelled
-- ARGV[9..] field, value, ... of the entry
--
-- Returns {name of the schedule or ID of the entry that the key stands for,
--          1 when this call made it, 2 when a job that waits has taken its data and its time,
--          3 and 4 when it did the same when it was sent before, 0 when it did nothing,
--          when it is due: Unix time in ms, nil for what is in the stream already};
--         or the error 'KEYTAKEN name-or-ID due', without the time for what is in the stream.
--@include clock
--@include offloaded
--@include packed
--@include rights
--@include unsettled

local stream, scheduled, jobs, unique, made_by = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local name, kind, ms, key_ttl, memory = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local settled, on_conflict, key = ARGV[6] == 'settled', ARGV[7], ARGV[8]

local needs = {
    { 'GET', unique }, { 'SET', unique, 'a' }, { 'GET', made_by }, { 'SET', made_by, 'a' },
    { 'XADD', stream, '*', 'a', 'b' }, { 'ZADD', scheduled, '0', 'a' },
    { 'ZSCORE', scheduled, 'a' }, { 'HGET', jobs, 'a' }, { 'HSET', jobs, 'a', 'b' },
}
if settled then
    needs[#needs + 1] = { 'XRANGE', stream, '-', '+' }
    needs[#needs + 1] = { 'XINFO', 'GROUPS', stream }
    needs[#needs + 1] = { 'XPENDING', stream, 'g', '-', '+', '1' }
end
if on_conflict == 'replace' then
    needs[#needs + 1] = { 'HGET', KEYS[6], 'a' }
    needs[#needs + 1] = { 'HSET', KEYS[6], 'a', 'b' }
    needs[#needs + 1] = { 'HDEL', KEYS[6], 'a' }
    needs[#needs + 1] = { 'ZADD', KEYS[7], '0', 'a' }
end
local denied = not_permitted(needs)
if denied then
    return denied
end

-- Whatever is there is looked at before the first write, so that a key of the wrong type
-- leaves no half of a job behind. What is known already is written once more as it is: WAIT
-- waits for what its own connection wrote last.
local waits = redis.call('HGET', jobs, name)
if waits then
    redis.call('HSET', jobs, name, waits)
    return { name, 3, redis.call('ZSCORE', scheduled, name) }
end
local made = redis.call('GET', made_by)
if made then
    redis.call('SET', made_by, made, 'KEEPTTL')
    local another = not string.match(made, '^%d+%-%d+$')
    return { made, another and 4 or 3, redis.call('ZSCORE', scheduled, made) }
end

local now, due = now_ms(), nil
if kind == 'in' then
    due = now + tonumber(ms)
elseif kind == 'at' then
    due = tonumber(ms)
end
local fields = { unpack(ARGV, 9) }

local function wait_for_it(called)
    redis.call('HSET', jobs, called, cmsgpack.pack(fields), called .. ':key', key)
    redis.call('ZADD', scheduled, due, called)
    redis.call('SET', unique, called, 'PX', math.max(due - now, 0) + key_ttl)
    return string.format('%.0f', due)
end

local known = redis.call('GET', unique)
local known_due = redis.call('ZSCORE', scheduled, known or '')
if known and settled and not known_due and not unsettled(stream, known) then
    known = false
end
if known and on_conflict == 'replace' then
    if known_due then
        due = due or now
        local before = fields_of(redis.call('HGET', jobs, known) or '')
        local told = wait_for_it(known)
        local ref = before and ref_of(before, 1)
        if ref then
            let_go(KEYS[6], KEYS[7], ref)
        end
        redis.call('SET', made_by, known, 'PX', memory)
        return { known, 2, told }
    end
elseif known then
    redis.call('SET', unique, known, 'KEEPTTL')
    if on_conflict == 'error' then
        return redis.error_reply('KEYTAKEN ' .. known .. ' ' .. (known_due or ''))
    end
    return { known, 0, known_due }
end

if due then
    return { name, 1, wait_for_it(name) }
end
local id = redis.call('XADD', stream, '*', unpack(fields))
redis.call('SET', unique, id, 'PX', key_ttl)
redis.call('SET', made_by, id, 'PX', memory)
return { id, 1 }
