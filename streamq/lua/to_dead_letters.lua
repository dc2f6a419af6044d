#!lua flags=allow-oom
-- Make pending entries dead letters by hand, whoever holds them; the holder is refused
-- when it comes to settle.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   dead letters of the group
-- KEYS[4]   holders of data that is kept outside the stream
-- KEYS[5]   such data that nobody holds
-- KEYS[6..] status record of each entry
-- ARGV[1]   group
-- ARGV[2]   error to note
-- ARGV[3..] entry IDs
--
-- Returns for each: 1 (dead), -1 (not pending in this group).
--@include dead_letter
--@include remove
--@include rights
--@include tell

local denied = not_permitted({
    { 'XPENDING', KEYS[1], ARGV[1], '-', '+', '1' }, { 'XRANGE', KEYS[1], '-', '+' },
    { 'XADD', KEYS[3], '*', 'a', 'b' }, { 'HGET', KEYS[6], 'a' }, { 'DEL', KEYS[6] },
    { 'ZREM', KEYS[2], 'a' }, { 'XACK', KEYS[1], ARGV[1], '0-1' }, { 'XINFO', 'GROUPS', KEYS[1] },
    { 'XDEL', KEYS[1], '0-1' }, { 'HGET', KEYS[4], 'a' }, { 'HSET', KEYS[4], 'a', 'b' },
    { 'HDEL', KEYS[4], 'a' }, { 'ZADD', KEYS[5], '0', 'a' },
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
local refs = { holders = KEYS[4], unheld = KEYS[5] }
for i = 3, #ARGV do
    local id = ARGV[i]
    local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
    if row then
        local last = redis.pcall('HGET', KEYS[i + 3], 'error')
        local err = ARGV[2]
        if type(last) == 'string' then
            err = err .. '; last error: ' .. last
        end
        letters[id], refs[id] = dead_letter(
            stream, dlq, id, row[4], row[2], 'by hand', err, KEYS[4]
        )
        redis.pcall('DEL', KEYS[i + 3])
        redis.call('ZREM', retry, id)
        redis.call('XACK', stream, group, id)
        acked[#acked + 1] = id
    end
    answers[#answers + 1] = row and 1 or -1
end
if #acked > 0 then
    remove_settled(stream, groups_of(stream), group, acked, refs)
    tell(dlq, acked, letters)
end
return answers
