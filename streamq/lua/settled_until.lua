#!lua flags=no-writes
-- Whether a group has settled all that was written to a stream up to some entry.
--
-- KEYS[1]   stream
-- ARGV[1]   group
-- ARGV[2]   ID of that entry
--
-- Returns 1, or 0; 1 also where the stream does not exist, and 0 where the group does not.
--@include groups
--@include ids

local stream, group, last = KEYS[1], ARGV[1], ARGV[2]
if redis.call('EXISTS', stream) == 0 then
    return 1
end
for _, one in ipairs(groups_of(stream)) do
    if one.name == group then
        if before(one.last, last)
            and #redis.call('XRANGE', stream, '(' .. one.last, last, 'COUNT', '1') > 0 then
            return 0
        end
        return #redis.call('XPENDING', stream, group, '-', last, '1') == 0 and 1 or 0
    end
end
return 0
