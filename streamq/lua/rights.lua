#!lua flags=no-writes
-- What a worker's user lacks of all that the scripts of a worker do. Asked once, before the
-- first job: a settling that is refused in its middle would leave half of its work behind.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   dead letters of the group
-- KEYS[4]   the lock of reclaiming
-- KEYS[5]   a status record
-- KEYS[6]   scheduled set of the stream
-- KEYS[7]   scheduled jobs of the stream
-- KEYS[8]   the string that maps a schedule to its entry
-- KEYS[9]   the string of an idempotency key
-- ARGV[1]   group
--
-- Returns a list of 'command key', empty when nothing is missing.
--@include rights

local stream, retry, dlq, lock, record = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local scheduled, jobs, to_entry, unique, group = KEYS[6], KEYS[7], KEYS[8], KEYS[9], ARGV[1]

return lacking({
    -- settle, extend, release
    { 'XPENDING', stream, group, '-', '+', '1' },
    { 'XCLAIM', stream, group, 'c', '0', '0-1' },
    { 'XACK', stream, group, '0-1' },
    { 'XDEL', stream, '0-1' },
    { 'XADD', dlq, '*', 'a', 'b' },
    { 'XRANGE', stream, '-', '+' },
    { 'XINFO', 'GROUPS', stream },
    { 'TYPE', retry },
    { 'TYPE', dlq },
    { 'ZADD', retry, '0', 'a' },
    { 'HSET', record, 'a', 'b' },
    { 'PEXPIRE', record, '1' },
    { 'DEL', record },
    -- due retries
    { 'ZRANGE', retry, '0', '1' },
    { 'ZREM', retry, 'a' },
    -- reclaiming
    { 'XAUTOCLAIM', stream, group, 'c', '0', '0-1' },
    { 'XINFO', 'CONSUMERS', stream, group },
    { 'XGROUP', 'DELCONSUMER', stream, group, 'c' },
    { 'ZCARD', retry },
    { 'SET', lock, 'a' },
    { 'DEL', lock },
    -- jobs for later
    { 'ZRANGE', scheduled, '0', '1' },
    { 'ZMSCORE', scheduled, 'a' },
    { 'ZREM', scheduled, 'a' },
    { 'HGET', jobs, 'a' },
    { 'HMGET', jobs, 'a' },
    { 'HDEL', jobs, 'a' },
    { 'XADD', stream, '*', 'a', 'b' },
    { 'SET', to_entry, 'a' },
    { 'GET', unique },
    { 'SET', unique, 'a' },
})
