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
-- KEYS[8]   the group's state
-- KEYS[9..14] its flow control: keys, busy, lines, due, queue, rates
-- KEYS[15]  its cancelled jobs
-- KEYS[16]  schedules of the stream's periodic jobs
-- KEYS[17]  holders of data that is kept outside the stream
-- KEYS[18]  such data that nobody holds
-- KEYS[19]  such data
-- KEYS[20]  settings of the stream
-- KEYS[21]  the string that maps a schedule to its entry
-- KEYS[22]  the string of an idempotency key
-- ARGV[1]   group
--
-- Returns a list of 'command key', empty when nothing is missing.
--@include rights

local stream, retry, dlq, lock, record = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local scheduled, jobs, schedules, group = KEYS[6], KEYS[7], KEYS[16], ARGV[1]
local keys, busy, lines, due, queue, rates = unpack(KEYS, 9, 14)
local holders, unheld, data, settings = KEYS[17], KEYS[18], KEYS[19], KEYS[20]
local to_entry, unique = KEYS[21], KEYS[22]

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
    { 'HDEL', record, 'a' },
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
    -- cancelled jobs
    { 'EXISTS', KEYS[15] },
    { 'SISMEMBER', KEYS[15], 'a' },
    { 'SMISMEMBER', KEYS[15], 'a' },
    { 'SRANDMEMBER', KEYS[15], '1' },
    { 'SREM', KEYS[15], 'a' },
    -- flow control
    { 'HGETALL', KEYS[8] },
    { 'XREAD', 'STREAMS', stream, '0-1' },
    { 'XREADGROUP', 'GROUP', group, 'c', 'STREAMS', stream, '>' },
    { 'EXISTS', keys },
    { 'HGET', keys, 'a' },
    { 'HSET', keys, 'a', 'b' },
    { 'HDEL', keys, 'a' },
    { 'HLEN', keys },
    { 'HSCAN', keys, '0' },
    { 'TYPE', keys },
    { 'HGET', busy, 'a' },
    { 'HGETALL', busy },
    { 'HLEN', busy },
    { 'HINCRBY', busy, 'a', '1' },
    { 'HDEL', busy, 'a' },
    { 'ZADD', lines, '0', 'a' },
    { 'ZREM', lines, 'a' },
    { 'ZCARD', lines },
    { 'ZSCORE', lines, 'a' },
    { 'ZLEXCOUNT', lines, '-', '+' },
    { 'ZRANGE', lines, '-', '+', 'BYLEX' },
    { 'ZADD', due, '0', 'a' },
    { 'ZADD', queue, '0', 'a' },
    { 'ZPOPMIN', queue },
    { 'ZADD', rates, '0', 'a' },
    { 'PEXPIRE', rates, '1' },
    { 'ZREMRANGEBYSCORE', rates, '0', '1' },
    { 'DEL', rates },
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
    -- periodic jobs
    { 'HGET', schedules, 'a' },
    { 'HGETALL', schedules },
    { 'HSET', schedules, 'a', 'b' },
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
    -- retention and abandoned groups
    { 'HGETALL', settings },
    { 'HGET', settings, 'a' },
    { 'HSET', settings, 'a', 'b' },
    { 'HDEL', settings, 'a' },
    { 'EXISTS', stream },
    { 'XTRIM', stream, 'MINID', '0' },
    { 'XGROUP', 'SETID', stream, group, '0' },
    { 'XGROUP', 'CREATE', stream, group, '0' },
})
