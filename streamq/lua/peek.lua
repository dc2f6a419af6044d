#!lua flags=no-writes
-- Look at pending entries: who holds each, since when, at which delivery, and what is
-- in it, with long values cut short. Like a page, it ends early after a MiB.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3..8] flow control: keys, busy, lines, due, queue, rates
-- KEYS[9..] status record of each entry
-- ARGV[1]   group
-- ARGV[2]   bytes of each value at most
-- ARGV[3..] entry IDs
--
-- Returns {the server's time in ms, then for each entry that was looked at:
--          {consumer, idle ms, delivery count, due time in ms or '', last error or '',
--           {field, value, ...}, empty when it is no longer in the stream,
--           deliveries that it may have, or '' where no failure has said,
--           {how far it is (0 to 1), a note on that, at which delivery; each '' for unknown},
--           what it is held for ('key', 'rate', 'room', 'paused'), or '',
--           its place in line from 1, for a rate when it is due in ms, else 0},
--          or 0 when it is not pending in this group}.
--@include clock
--@include cut
--@include flow

local BUDGET = 1048576
local stream, retry, group, bytes = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
local answers, read = { now_ms() }, 0
local waiting = waiting_in({ unpack(KEYS, 3, 8) })

for i = 3, #ARGV do
    local id = ARGV[i]
    local row, answer = redis.call('XPENDING', stream, group, id, id, 1)[1], 0
    if row then
        local entry = redis.call('XRANGE', stream, id, id)[1]
        local fields, size = {}, 0
        if entry then
            fields, size = cut(entry[2], bytes)
        end
        local noted = redis.pcall('HMGET', KEYS[i + 6], 'error', 'deliveries',
            'progress', 'progress_note', 'progress_of')
        local why, place = '', 0
        if row[2] == HELD then
            why, place = waiting(id, entry and entry[2] or {})
        end
        answer = {
            row[2], row[3], row[4], redis.call('ZSCORE', retry, id) or '',
            noted[1] or '', fields, noted[2] or '',
            { noted[3] or '', noted[4] or '', noted[5] or '' }, why, place,
        }
        read = read + size
    end
    answers[#answers + 1] = answer
    if read >= BUDGET then
        break
    end
end
return answers
