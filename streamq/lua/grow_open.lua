#!lua flags=allow-oom
-- Open a new partition, unless it is open.
--
-- KEYS[1]   settings of the partition
-- ARGV[1]   how many partitions there are
-- ARGV[2]   the key of the partition that had its keys until now, '' for none
-- ARGV[3]   the ID of the last entry that one was given of them
--
-- Returns 1 if it was opened, else 0.
--@include rights

local settings = KEYS[1]
local denied = not_permitted({ { 'HGET', settings, 'a' }, { 'HSET', settings, 'a', 'b' } })
if denied then
    return denied
end
if redis.call('HGET', settings, 'of') then
    return 0
end
redis.call('HSET', settings, 'of', ARGV[1])
if ARGV[2] ~= '' then
    redis.call('HSET', settings, 'source', ARGV[2], 'source_end', ARGV[3])
end
return 1
