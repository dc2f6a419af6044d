#!lua flags=allow-oom
-- Make pending entries dead letters by hand, whoever holds them; the holder is refused
-- when it comes to settle.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   dead letters of the group
-- KEYS[4]   holders of data that is kept outside the stream
-- KEYS[5]   such data that nobody holds
-- KEYS[6..11] flow control: keys, busy, lines, due, queue, rates
-- KEYS[12..] status record of each entry
-- ARGV[1]   group
-- ARGV[2]   error to note
-- ARGV[3]   how long the history of their attempts is kept, ms
-- ARGV[4..] entry IDs
--
-- Returns for each: 1 (dead), -1 (not pending in this group).
--@include clock
--@include dead_letter
--@include flow
--@include follow
--@include history
--@include remove
--@include rights
--@include tell

local denied = not_permitted({
    { 'XPENDING', KEYS[1], ARGV[1], '-', '+', '1' }, { 'XRANGE', KEYS[1], '-', '+' },
    { 'XADD', KEYS[3], '*', 'a', 'b' }, { 'HGET', KEYS[12], 'a' },
    { 'HDEL', KEYS[12], 'a' }, { 'PEXPIRE', KEYS[12], '1' }, { 'DEL', KEYS[12] },
    { 'ZREM', KEYS[2], 'a' }, { 'XACK', KEYS[1], ARGV[1], '0-1' }, { 'XINFO', 'GROUPS', KEYS[1] },
    { 'XDEL', KEYS[1], '0-1' }, { 'HGET', KEYS[4], 'a' }, { 'HSET', KEYS[4], 'a', 'b' },
    { 'HDEL', KEYS[4], 'a' }, { 'ZADD', KEYS[5], '0', 'a' }, { 'HGET', KEYS[6], 'a' },
    { 'HDEL', KEYS[6], 'a' }, { 'HINCRBY', KEYS[7], 'a', '1' }, { 'ZREM', KEYS[8], 'a' },
    { 'ZREM', KEYS[9], 'a' }, { 'ZREM', KEYS[10], 'a' },
})
if denied then
    return denied
end

local stream, retry, dlq, group = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local bad = wrong_type(retry, 'zset') or wrong_type(dlq, 'stream')
if bad then
    return bad
end
local answers, acked, letters = {}, {}, {}
local waiting, following = listened_to(string.sub(dlq, 1, -4))
local feed = follow(following, stream)
local refs = { holders = KEYS[4], unheld = KEYS[5] }
local flow = flow_control(stream, group, { unpack(KEYS, 6, 11) }, '{}', now_ms())
for i = 4, #ARGV do
    local id = ARGV[i]
    local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
    if row then
        local record = KEYS[i + 8]
        local last = redis.pcall('HGET', record, 'error')
        local err = ARGV[2]
        if type(last) == 'string' then
            err = err .. '; last error: ' .. last
        end
        letters[id], refs[id] = dead_letter(
            stream, dlq, id, row[4], row[2], 'by hand', err, KEYS[4]
        )
        if feed then
            feed.note('dead', id, row[4], row[2], nil, nil, nil, nil, 'by hand', err)
        end
        clear(record, true)
        redis.pcall('PEXPIRE', record, ARGV[3])
        redis.call('ZREM', retry, id)
        flow.forget(id)
        redis.call('XACK', stream, group, id)
        acked[#acked + 1] = id
    end
    answers[#answers + 1] = row and 1 or -1
end
if #acked > 0 then
    remove_settled(stream, groups_of(stream), group, acked, refs)
    tell(waiting, acked, letters)
end
if feed then
    feed.publish()
end
return answers
