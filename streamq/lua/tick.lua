#!lua flags=allow-oom
-- Write the jobs of a schedule's ticks and note the last of these, unless another worker has:
-- of all that have worked out the same ticks, the first one's call counts.
--
-- KEYS[1]   stream
-- KEYS[2]   schedules of the stream
-- ARGV[1]   version of the schedules that the worker has read
-- ARGV[2]   name of the schedule
-- ARGV[3]   the time after which its ticks are due, as the worker has it, ms
-- ARGV[4]   the last of these ticks, ms
-- ARGV[5]   'skip' to write no job while the schedule's last one is not settled, else 'allow'
-- ARGV[6]   how many strings the entry of each job has
-- ARGV[7..] field, value, ... of one entry after the other; none where all ticks are left out
--
-- Returns {what became of it, the time after which its ticks are due now, or '',
--          entry IDs of the jobs, or the server's time in ms when it is early}.
-- What became of it is 'written', 'overlap' (the last job is not settled: the ticks are noted,
-- and there is no job), 'moved' (another worker was first), 'changed' (the schedules are other
-- ones now), or 'early'.
--@include clock
--@include remove

local stream, schedules, name = KEYS[1], KEYS[2], ARGV[2]

local function get(kind)
    return redis.call('HGET', schedules, kind .. name)
end

-- Whether the last job has an entry that a group has not settled.
local function is_open(id)
    local entry = redis.pcall('XRANGE', stream, id, id)[1]
    if not entry then
        return false
    end
    local only_for
    for i = 1, #entry[2], 2 do
        if entry[2][i] == 'for' then
            only_for = entry[2][i + 1]
        end
    end
    local groups = groups_of(stream)
    for _, group in ipairs(groups) do
        if not only_for or group.name == only_for then
            if not settled_by(stream, group, { id })(id) then
                return true
            end
        end
    end
    return #groups == 0
end

local start = get('from:')
if redis.call('HGET', schedules, 'version') ~= ARGV[1] then
    return { 'changed', start or '' }
elseif start ~= ARGV[3] then
    return { 'moved', start or '' }
elseif tonumber(ARGV[4]) > now_ms() then
    return { 'early', start, now_ms() }
end

local reply = { 'written', ARGV[4] }
local last = get('job:')
if ARGV[5] == 'skip' and last and ARGV[7] and is_open(last) then
    reply[1] = 'overlap'
else
    local size = tonumber(ARGV[6])
    for i = 7, #ARGV, size do
        last = redis.call('XADD', stream, '*', unpack(ARGV, i, i + size - 1))
        reply[#reply + 1] = last
    end
    if #reply > 2 then
        redis.call('HSET', schedules, 'job:' .. name, last)
    end
end
redis.call('HSET', schedules, 'from:' .. name, ARGV[4], 'tick:' .. name, ARGV[4])
return reply
