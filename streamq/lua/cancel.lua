#!lua flags=allow-oom
-- Cancel jobs in one group. Those that wait in its pending entries list end at once; one
-- that is queued ends when a worker comes to it, and never runs; the worker of one that
-- runs is told.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   its set of cancelled jobs
-- KEYS[4..9] flow control: keys, busy, lines, due, queue, rates
-- KEYS[10]  holders of data that is kept outside the stream
-- KEYS[11]  such data that nobody holds
-- KEYS[12]  dead letters of the group
-- KEYS[13..] status record of each entry
-- ARGV[1]   group
-- ARGV[2]   idle time after which an entry is stalled, ms
-- ARGV[3]   how long a status record is kept, ms; 0 for none
-- ARGV[4..] entry IDs
--
-- Returns for each: 'cancelled', 'cancelling' (it runs; its worker is told), 'settled' (this
-- group is done with it) or 'unknown' (there is no such entry).
--@include clock
--@include flow
--@include follow
--@include history
--@include ids
--@include remove
--@include rights
--@include tell

local stream, retry, cancelled, group = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local denied = not_permitted({
    { 'XPENDING', stream, group, '-', '+', '1' }, { 'XRANGE', stream, '-', '+' },
    { 'XINFO', 'GROUPS', stream }, { 'XACK', stream, group, '0-1' }, { 'XDEL', stream, '0-1' },
    { 'ZREM', retry, 'a' }, { 'SADD', cancelled, 'a' }, { 'HGET', KEYS[4], 'a' },
    { 'HDEL', KEYS[4], 'a' }, { 'HINCRBY', KEYS[5], 'a', '1' }, { 'ZREM', KEYS[6], 'a' },
    { 'ZREM', KEYS[7], 'a' }, { 'ZREM', KEYS[8], 'a' }, { 'HSET', KEYS[13], 'a', 'b' },
    { 'PEXPIRE', KEYS[13], '1' }, { 'DEL', KEYS[13] },
    { 'HDEL', KEYS[13], 'a' }, { 'HGET', KEYS[10], 'a' },
    { 'HSET', KEYS[10], 'a', 'b' }, { 'HDEL', KEYS[10], 'a' }, { 'ZADD', KEYS[11], '0', 'a' },
})
if denied then
    return denied
end

local now, keep_ms = now_ms(), tonumber(ARGV[3])
local flow = flow_control(stream, group, { unpack(KEYS, 4, 9) }, '{}', now)
local groups, last = groups_of(stream), nil
for _, one in ipairs(groups) do
    last = one.name == group and one.last or last
end
local queued = {}
local waiting, following = listened_to(string.sub(KEYS[12], 1, -4))
local feed = follow(following, stream)
local answers, acked, refs = {}, {}, { holders = KEYS[10], unheld = KEYS[11] }

local function keep(record, fields, deliveries)
    clear(record, keep_ms > 0)
    if keep_ms > 0 then
        local job_type, data = '', nil
        for i = 1, #fields, 2 do
            if fields[i] == 'type' then
                job_type = fields[i + 1]
            elseif fields[i] == 'data' then
                data = fields[i + 1]
            end
        end
        redis.pcall(
            'HSET', record, 'state', 'cancelled', 'type', job_type,
            'data', data and #data <= 1024 and data or '', 'attempts', deliveries,
            'started_at', now, 'finished_at', now
        )
        redis.pcall('PEXPIRE', record, keep_ms)
    end
end

for i = 4, #ARGV do
    local id = ARGV[i]
    local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
    local entry = redis.call('XRANGE', stream, id, id)[1]
    local waits = row and (row[2] == PARKED or row[2] == HELD)
    local answer
    if waits or (row and row[3] >= tonumber(ARGV[2])) then
        redis.call('ZREM', retry, id)
        flow.forget(id)
        redis.call('XACK', stream, group, id)
        acked[#acked + 1] = id
        refs[id] = entry and ref_of(entry[2], 1)
        keep(KEYS[i + 9], entry and entry[2] or {}, row[4])
        if feed then
            feed.note('cancelled', id, row[4], row[2])
        end
        answer = 'cancelled'
    elseif row then
        redis.call('SADD', cancelled, id)
        answer = 'cancelling'
    elseif not last then
        return redis.error_reply('NOGROUP No such consumer group ' .. group .. ' for ' .. stream)
    elseif entry and before(last, id) then
        redis.call('SADD', cancelled, id)
        -- Its record says so at once: who waits for it need not wait for a worker.
        keep(KEYS[i + 9], entry[2], 0)
        queued[#queued + 1] = id -- those who follow are told by the worker that comes to it
        answer = 'cancelled'
    else
        answer = entry and 'settled' or 'unknown'
    end
    answers[#answers + 1] = answer
end
remove_settled(stream, groups, group, acked, refs)
tell(waiting, acked, nil)
tell(waiting, queued, nil)
if feed then
    feed.publish()
end
return answers
