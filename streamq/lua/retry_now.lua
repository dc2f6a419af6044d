#!lua flags=allow-oom
-- Let pending entries be retried now: parked ones become due, stalled ones are
-- parked and due. One that is running under a live lease is left alone.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- ARGV[1]   group
-- ARGV[2]   idle time after which an entry counts as stalled, ms
-- ARGV[3..] entry IDs
--
-- Returns for each: 1 (due now), 0 (running), -1 (not pending in this group), -2 (no
-- longer in the stream).
--@include clock
--@include dead_letter
--@include park
--@include rights

local denied = not_permitted({
    { 'XPENDING', KEYS[1], ARGV[1], '-', '+', '1' }, { 'XCLAIM', KEYS[1], ARGV[1], 'c', '0', '0-1' },
    { 'ZADD', KEYS[2], '0', 'a' },
})
if denied then
    return denied
end

local stream, retry, group = KEYS[1], KEYS[2], ARGV[1]
local bad = wrong_type(retry, 'zset')
if bad then
    return bad
end
local now, answers = now_ms(), {}
for i = 3, #ARGV do
    local row = redis.call('XPENDING', stream, group, ARGV[i], ARGV[i], 1)[1]
    if not row then
        answers[#answers + 1] = -1
    elseif row[2] ~= PARKED and row[3] < tonumber(ARGV[2]) then
        answers[#answers + 1] = 0
    else
        answers[#answers + 1] = park(stream, retry, group, ARGV[i], now) and 1 or -2
    end
end
return answers
