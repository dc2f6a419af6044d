#!lua
-- Note how far running jobs are, in their status records, and tell those who wait for them.
-- What is no longer this consumer's at that delivery is left out. Settling takes the note
-- away again; should that never come, it expires.
--
-- KEYS[1]   stream
-- KEYS[2]   dead letters of the group
-- KEYS[3..] status record of each job
-- ARGV[1]   group
-- ARGV[2]   consumer
-- ARGV[3]   how long a note is kept, ms
-- ARGV[4]   n, the number of jobs
-- ARGV[5..] n pairs: entry ID, delivery count; then n pairs: progress (0 to 1), note
--
-- Returns the entry IDs that are no longer this consumer's at that delivery.
--@include fence
--@include tell

local ids, deliveries, n = {}, {}, tonumber(ARGV[4])
for i = 1, n do
    ids[i] = ARGV[3 + 2 * i]
    deliveries[i] = ARGV[4 + 2 * i]
end
local others = strangers(KEYS[1], ARGV[1], ARGV[2], ids, deliveries)
local lost, channel = {}, (listened_to(string.sub(KEYS[2], 1, -4)))
for i = 1, n do
    if others[i] then
        lost[#lost + 1] = ids[i]
    else
        local at, record = 3 + 2 * n + 2 * i, KEYS[2 + i]
        redis.pcall(
            'HSET', record, 'progress', ARGV[at], 'progress_note', ARGV[at + 1],
            'progress_of', deliveries[i]
        )
        redis.pcall('PEXPIRE', record, ARGV[3])
        if channel then
            local how = 'at ' .. ARGV[at] .. ' ' .. ARGV[at + 1]
            redis.pcall('SPUBLISH', channel .. ':' .. ids[i], how)
        end
    end
end
return lost
