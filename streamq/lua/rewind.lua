#!lua flags=allow-oom
-- Move a group's place back, so that it is given entries once more. Jobs that are pending and
-- come after the new place are queued again and no longer pending: they are given once, not
-- twice. Those before it stay pending.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- ARGV[1]   group
-- ARGV[2]   entry ID: the group is given what comes after it
-- ARGV[3]   how many entries the stream ever had up to there, -1 for unknown
-- ARGV[4]   silence after which a consumer counts as gone, ms
-- ARGV[5]   1 to do it in spite of consumers alive and jobs pending after the new place
--
-- Returns {'done', how many pending jobs are queued again}, or, with nothing changed:
-- {'alive', consumer}, {'pending', how many at least}, {'ahead', the group's place, which is
-- not behind the one wanted}, {'gone'} when there is no such group.
--@include after
--@include remove
--@include park
--@include rights

local stream, retry, name, to = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local denied = not_permitted({
    { 'XINFO', 'GROUPS', stream }, { 'XINFO', 'CONSUMERS', stream, name },
    { 'XPENDING', stream, name, '-', '+', '1' }, { 'XACK', stream, name, '0-1' },
    { 'ZREM', retry, 'a' }, { 'XGROUP', 'SETID', stream, name, '0' },
})
if denied then
    return denied
end

local MOST = 10000 -- pending jobs that are queued again; XPENDING and XACK take their time
local group
for _, one in ipairs(groups_of(stream)) do
    group = one.name == name and one or group
end
if not group then
    return { 'gone' }
elseif before(group.last, to) then
    return { 'ahead', group.last }
end
local forced, silence = ARGV[5] == '1', tonumber(ARGV[4])
if not forced then
    for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, name)) do
        local fields = {}
        for i = 1, #flat, 2 do
            fields[flat[i]] = flat[i + 1]
        end
        if fields['name'] ~= PARKED and fields['idle'] < silence then
            return { 'alive', fields['name'] }
        end
    end
end
local start = after(to)
local rows = {}
if start and group.pending > 0 then
    rows = redis.call('XPENDING', stream, name, start, '+', forced and MOST + 1 or 1)
end
if #rows > (forced and MOST or 0) then
    return { 'pending', forced and #rows or group.pending }
end
redis.call('ZCARD', retry) -- says so when it is no set, before anything is written
for _, row in ipairs(rows) do
    redis.call('XACK', stream, name, row[1])
    redis.call('ZREM', retry, row[1])
end
if ARGV[3] == '-1' then
    redis.call('XGROUP', 'SETID', stream, name, to)
else
    redis.call('XGROUP', 'SETID', stream, name, to, 'ENTRIESREAD', ARGV[3])
end
return { 'done', #rows }
