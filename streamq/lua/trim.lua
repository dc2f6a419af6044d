#!lua flags=allow-oom
-- Delete retained entries that are too old, and settled by every group: a bounded step.
--
-- The group ~retain stands where this has come to. An entry after it is kept when it is
-- settled; one before it is deleted by whoever settles it last. So each entry is looked at
-- once, and none at all while no group is further behind than the retention reaches.
--
-- KEYS[1]   stream
-- KEYS[2]   settings of the stream
-- KEYS[3]   holders of data that is kept outside the stream
-- KEYS[4]   such data that nobody holds
-- ARGV[1]   about how many entries to delete at most
-- ARGV[2]   1 to look for such data: then entries are deleted one by one
--
-- Returns {how many were deleted, 1 when more may be left, else 0}, or nil when the stream
-- retains nothing.
--@include after
--@include clock
--@include remove

local RETAINED, SCANNED, READ, BUDGET = '~retain', 500, 100, 4194304
local stream, most = KEYS[1], ARGV[1]
local retain = tonumber(redis.call('HGET', KEYS[2], 'retain') or '')
if not retain or redis.call('EXISTS', stream) == 0 then
    return nil
end

local groups, place = {}, nil
for _, group in ipairs(groups_of(stream)) do
    if group.name == RETAINED then
        place = group.last
    else
        groups[#groups + 1] = group
    end
end
if not place then
    -- The stream, or the group alone, was deleted by another program.
    redis.call('XGROUP', 'CREATE', stream, RETAINED, '0')
    place = '0-0'
end
local limit_ms = now_ms() - retain
local limit = string.format('%.0f-18446744073709551615', math.max(limit_ms - 1, 0))
if #groups == 0 or not before(place, limit) then
    return { 0, 0 } -- where there is no group, nothing is settled
end

-- The oldest entry that some group has not settled; what is pending comes before what is queued.
local oldest
for _, group in ipairs(groups) do
    local start = after(group.last)
    local first
    if group.pending > 0 then
        first = redis.call('XPENDING', stream, group.name, '-', '+', 1)[1]
    else
        first = start and redis.call('XRANGE', stream, start, '+', 'COUNT', 1)[1]
    end
    if first and (not oldest or before(first[1], oldest)) then
        oldest = first[1]
    end
end

-- Delete all before an entry ID, and go on from `to`. Whole nodes of the stream at a time
-- cost next to nothing; what is left of the last one is cut off exactly.
local function cut_off(id, to)
    local deleted = redis.call('XTRIM', stream, 'MINID', '~', id, 'LIMIT', most)
    if deleted > 0 then
        return deleted, false
    end
    deleted = redis.call('XTRIM', stream, 'MINID', id)
    redis.call('XGROUP', 'SETID', stream, RETAINED, to)
    return deleted, true
end

if ARGV[2] == '1' then
    oldest = place -- so that all of them are looked at below
elseif not oldest or before(limit, oldest) then
    local deleted, finished = cut_off(string.format('%.0f-0', limit_ms), limit)
    return { deleted, finished and 0 or 1 }
end
if ARGV[2] ~= '1' and before(place, oldest) then
    return { cut_off(oldest, oldest), 1 }
end

-- Behind an entry that is kept by a group, those that are settled are deleted one by one.
local refs = { holders = KEYS[3], unheld = KEYS[4] }
local ids, read, start, finished = {}, 0, after(place), false
while #ids < SCANNED and read < BUDGET and not finished do
    local rows = redis.call('XRANGE', stream, start, limit, 'COUNT', READ)
    for _, row in ipairs(rows) do
        ids[#ids + 1] = row[1]
        refs[row[1]] = ref_of(row[2], 1)
        for _, part in ipairs(row[2]) do
            read = read + #part
        end
    end
    finished = #rows < READ
    start = ids[#ids] and after(ids[#ids])
end
local deleted = remove_settled(stream, groups, nil, ids, refs)
redis.call('XGROUP', 'SETID', stream, RETAINED, finished and limit or ids[#ids])
return { deleted, finished and 0 or 1 }
