#!lua flags=no-writes
-- Count entries of a stream, a bounded step at a call.
--
-- KEYS[1]   stream
-- ARGV[1]   where to start: an entry ID, '(' .. ID, or '-'
-- ARGV[2]   where to end: an entry ID, or '+'
--
-- Returns {how many, where to go on, or '' at the end}.
--@include after

local READ, MOST, BUDGET = 500, 5000, 4194304
local start, counted, read = ARGV[1], 0, 0
while start and counted < MOST and read < BUDGET do
    local rows = redis.call('XRANGE', KEYS[1], start, ARGV[2], 'COUNT', READ)
    counted = counted + #rows
    if #rows < READ then
        return { counted, '' }
    end
    for _, row in ipairs(rows) do
        for _, part in ipairs(row[2]) do
            read = read + #part
        end
    end
    start = after(rows[#rows][1])
end
return { counted, start or '' }
