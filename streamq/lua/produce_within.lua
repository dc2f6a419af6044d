#!lua
-- Write entries as long as no more than so many wait to be settled.
--
-- KEYS[1]   stream
-- ARGV[1]   how many may wait
-- ARGV[2..] of each entry: how many strings follow, then field, value, ...
--
-- Returns {how many were waiting before, ID of each entry that was written, ...}: fewer IDs
-- than entries when there was no room for the rest.
--@include rights
--@include room

local denied = not_permitted({ { 'XADD', KEYS[1], '*', 'a', 'b' } })
if denied then
    return denied
end

local stream, most = KEYS[1], tonumber(ARGV[1])
local backlog = backlog_of(stream, most)
local answer, place = { backlog }, 2
for _ = backlog + 1, most do
    if place > #ARGV then
        break
    end
    local last = place + tonumber(ARGV[place])
    answer[#answer + 1] = redis.call('XADD', stream, '*', unpack(ARGV, place + 1, last))
    place = last + 1
end
return answer
