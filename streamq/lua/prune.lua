#!lua flags=allow-oom
-- Delete the entries that every remaining group has settled, a chunk at a call: what
-- only a deleted group had kept.
--
-- KEYS[1]   stream
-- KEYS[2]   holders of data that is kept outside the stream
-- KEYS[3]   such data that nobody holds
-- ARGV[1]   where to start: an entry ID, '(' .. ID, or '-'
-- ARGV[2]   how many entries to look at
--
-- Returns {how many were deleted, where to go on, or '' at the end}.
--@include after
--@include remove
--@include rights

local denied = not_permitted({
    { 'XINFO', 'GROUPS', KEYS[1] }, { 'XRANGE', KEYS[1], '-', '+' }, { 'XDEL', KEYS[1], '0-1' },
    { 'HGET', KEYS[2], 'a' }, { 'HSET', KEYS[2], 'a', 'b' }, { 'HDEL', KEYS[2], 'a' },
    { 'ZADD', KEYS[3], '0', 'a' },
})
if denied then
    return denied
end

local groups = groups_of(KEYS[1])
if #groups == 0 then
    return { 0, '' } -- no group has settled anything: all of it is still queued
end
local ids, refs = {}, { holders = KEYS[2], unheld = KEYS[3] }
for i, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])) do
    ids[i] = entry[1]
    refs[entry[1]] = ref_of(entry[2], 1)
end
local next_start = ''
if #ids == tonumber(ARGV[2]) then
    next_start = after(ids[#ids]) or ''
end
return { remove_settled(KEYS[1], groups, nil, ids, refs), next_start }
