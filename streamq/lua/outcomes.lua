#!lua flags=no-writes
-- What has become of jobs in one group, for those who wait for their ends. The group need
-- not exist yet.
--
-- KEYS[1]   stream
-- KEYS[2..] status record of each job
-- ARGV[1]   group
-- ARGV[2..] entry IDs
--
-- Returns for each: {what, a, b}. What is
--   'waiting'    queued, running or waiting for a retry; a: 'no group' where there is none yet,
--                or else how far it is (0 to 1), or ''; b: a note on that
--   'settled'    finished, and no record says how
--   'elsewhere'  not for this group; a: the one that it is for
--   'missing'    there is no such entry
--   or the final state in its record; a: its result as JSON, or ''; b: a note, or ''
--@include groups
--@include ids

local stream, group = KEYS[1], ARGV[1]
local last
if redis.call('EXISTS', stream) == 1 then
    for _, one in ipairs(groups_of(stream)) do
        if one.name == group then
            last = one.last
        end
    end
end

-- The group that an entry is for: '' for any, nil when there is no entry.
local function target(id)
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if not entry then
        return nil
    end
    local only, native = '', false
    for i = 1, #entry[2], 2 do
        if entry[2][i] == 'for' then
            only = entry[2][i + 1]
        elseif entry[2][i] == 'data' then
            native = true
        end
    end
    return native and only or ''
end

local function look(id, record)
    local noted = redis.pcall(
        'HMGET', record, 'state', 'result', 'note', 'progress', 'progress_note', 'progress_of'
    )
    if noted[1] then
        return { noted[1], noted[2] or '', noted[3] or '' }
    end
    local row = last and redis.call('XPENDING', stream, group, id, id, 1)[1]
    if row then
        if noted[4] and noted[6] == tostring(row[4]) then
            return { 'waiting', noted[4], noted[5] or '' }
        end
        return { 'waiting', '' }
    end
    local only = target(id)
    if only and only ~= '' and only ~= group then
        return { 'elsewhere', only }
    elseif last and not before(last, id) then
        return { 'settled' }
    end
    return { only and 'waiting' or 'missing', last and '' or 'no group' }
end

local answers = {}
for i = 2, #ARGV do
    answers[i - 1] = look(ARGV[i], KEYS[i])
end
return answers
