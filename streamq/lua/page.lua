#!lua flags=no-writes
-- Read a page of a stream, its long values cut short. A page ends early after a MiB
-- of what was read, so that it neither holds the server up nor fills its memory,
-- however large the entries are.
--
-- KEYS[1]   stream
-- ARGV[1]   where to start: an entry ID, '(' .. ID, '-' or '+'
-- ARGV[2]   where to end, the same
-- ARGV[3]   how many entries at most
-- ARGV[4]   bytes of each value at most, -1 for all
-- ARGV[5]   1 to read from the newest to the oldest (then ARGV[1] is the newer end)
--
-- Returns {{{entry ID, {field, value, ...}}, ...}, where to go on, or '' at the end}.
--@include after
--@include cut

local READ, BUDGET = 10, 1048576
local start, most, bytes = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local newest_first = ARGV[5] == '1'
local command = newest_first and 'XREVRANGE' or 'XRANGE'
local entries, read = {}, 0

while #entries < most and read < BUDGET do
    local count = math.min(READ, most - #entries)
    local rows = redis.call(command, KEYS[1], start, ARGV[2], 'COUNT', count)
    for _, row in ipairs(rows) do
        local fields, size = cut(row[2], bytes)
        entries[#entries + 1] = { row[1], fields }
        read = read + size
    end
    if #rows < count then
        return { entries, '' }
    end
    local last = rows[#rows][1]
    start = newest_first and '(' .. last or after(last)
    if not start then
        return { entries, '' }
    end
end
return { entries, start }
