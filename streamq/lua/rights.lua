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
-- KEYS[8]   holders of data that is kept outside the stream
-- KEYS[9]   such data that nobody holds
-- KEYS[10]  such data
-- ARGV[1]   group
--
-- Returns a list of 'command key', empty when nothing is missing.
--@include rights

local stream, retry, dlq, lock, record = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local scheduled, jobs, group = KEYS[6], KEYS[7], ARGV[1]
local holders, unheld, data = KEYS[8], KEYS[9], KEYS[10]

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
    { 'ZREM', scheduled, 'a' },
    { 'HGET', jobs, 'a' },
    { 'HDEL', jobs, 'a' },
    { 'XADD', stream, '*', 'a', 'b' },
    -- data outside the stream
    { 'HGET', holders, 'a' },
    { 'HSET', holders, 'a', 'b' },
    { 'HDEL', holders, 'a' },
    { 'ZADD', unheld, '0', 'a' },
    { 'ZRANGE', unheld, '0', '1' },
    { 'ZREM', unheld, 'a' },
    { 'SET', data, 'a' },
    { 'GET', data },
    { 'DEL', data },
})
