#!lua flags=allow-oom
-- Write scheduled jobs to their stream whose time has come: those that due.lua has found and
-- that nobody has written, cancelled or put off since. It ends early after a MiB of what was
-- written, so that it does not hold the server up.
--
-- KEYS[1]   stream
-- KEYS[2]   scheduled set of the stream
-- KEYS[3]   scheduled jobs of the stream
-- KEYS[4..] for each name, in order: the string that maps it to the entry that it becomes;
--           where the job has an idempotency key, also the string of that
-- ARGV[1]   for how long a name leads to its entry, ms
-- ARGV[2..] for each: its name, 1 when the job has an idempotency key or else 0
--
-- Returns {how many of the names it has come to, and for each job that it has written: how many
--          ms after its time}.
--@include clock
--@include packed

local BUDGET = 1048576
local stream, scheduled, jobs, memory = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local now, key, reached, late, size = now_ms(), 4, 0, {}, 0

local names = {}
for i = 2, #ARGV, 2 do
    names[#names + 1] = ARGV[i]
end
if #names == 0 then
    return { 0 }
end
local times = redis.call('ZMSCORE', scheduled, unpack(names))
local done, fields_done, failed = {}, {}, nil

for i, name in ipairs(names) do
    local to_entry, unique = KEYS[key], nil
    key = key + 1
    if ARGV[2 * i + 1] == '1' then
        unique, key = KEYS[key], key + 1
    end
    if times[i] and tonumber(times[i]) <= now then
        local packed = redis.call('HGET', jobs, name)
        local fields = packed and fields_of(packed)
        if fields then
            local id = redis.pcall('XADD', stream, '*', unpack(fields))
            if type(id) ~= 'string' then
                failed = id -- those that were written are still to be taken out
                break
            end
            redis.call('SET', to_entry, id, 'PX', memory)
            -- pcall: what somebody has put in its place is no string, and is left alone.
            if unique and redis.pcall('GET', unique) == name then
                redis.call('SET', unique, id, 'KEEPTTL')
            end
            fields_done[#fields_done + 1] = name
            if unique then
                fields_done[#fields_done + 1] = name .. ':key'
            end
            late[#late + 1] = math.floor(now - tonumber(times[i]))
            size = size + #packed
        end
        done[#done + 1] = name
    end
    reached = reached + 1
    if size >= BUDGET then
        break
    end
end
if #done > 0 then
    redis.call('ZREM', scheduled, unpack(done))
end
if #fields_done > 0 then
    redis.call('HDEL', jobs, unpack(fields_done))
end
return failed or { reached, unpack(late) }
