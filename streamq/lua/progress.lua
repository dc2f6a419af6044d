#!lua flags=no-writes
-- How far each group of a stream has come, all at one moment.
--
-- Where entries have been deleted from the middle of a stream, the server no longer
-- knows a group's lag. Then the entries on either side of the last one delivered are
-- counted, and the stream's length tells the rest; if both sides are long, the lag
-- stays unknown.
--
-- KEYS[1]   stream
-- ARGV[1]   how many entries to count on either side at most
--
-- Returns {length,
--          {name, entry ID delivered last, number queued, or -1 for unknown,
--           oldest queued entry ID or '', oldest pending entry ID or '', number pending,
--           number ever delivered, or -1 for unknown}, ...}
-- where the group ~retain, of a stream that retains settled entries, has only its place,
-- or nil when there is no stream.
--@include after
--@include groups

local READ, BUDGET = 100, 4194304
local stream, most = KEYS[1], tonumber(ARGV[1])
if redis.call('EXISTS', stream) == 0 then
    return nil
end
local length = redis.call('XLEN', stream)

-- How many entries a range has; nil when they are too many to count. There are none
-- after the largest ID, where `start` is nil.
local function count(start, stop)
    local counted, read = 0, 0
    while counted < most and read < BUDGET do
        if not start then
            return counted
        end
        local rows = redis.call('XRANGE', stream, start, stop, 'COUNT', READ)
        counted = counted + #rows
        if #rows < READ then
            return counted
        end
        for _, row in ipairs(rows) do
            for _, part in ipairs(row[2]) do
                read = read + #part
            end
        end
        start = after(rows[#rows][1])
    end
end

local function queued(group)
    if group.lag then
        return group.lag
    end
    local delivered = count('-', group.last)
    if delivered then
        return length - delivered
    end
    return count(after(group.last), '+') or -1
end

local function first_id(rows)
    return rows[1] and rows[1][1] or ''
end

local function first_queued(group)
    local start = after(group.last)
    return start and first_id(redis.call('XRANGE', stream, start, '+', 'COUNT', 1)) or ''
end

local answer = { length }
for _, group in ipairs(groups_of(stream)) do
    if group.name == '~retain' then
        answer[#answer + 1] = { group.name, group.last, 0, '', '', 0, -1 }
    else
        answer[#answer + 1] = {
            group.name, group.last, queued(group), first_queued(group),
            first_id(redis.call('XPENDING', stream, group.name, '-', '+', 1)),
            group.pending, group.read or (group.last == '0-0' and 0 or -1),
        }
    end
end
return answer
