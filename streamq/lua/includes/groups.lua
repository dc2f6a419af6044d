-- The groups of a stream: a list of {name=, last=, pending=, lag=, read=}; lag and read (how many
-- entries were ever delivered to it) are false when the server cannot tell.
local function groups_of(stream)
    local groups = {}
    for i, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
        local fields = {}
        for j = 1, #flat, 2 do
            fields[flat[j]] = flat[j + 1]
        end
        groups[i] = {
            name = fields['name'],
            last = fields['last-delivered-id'],
            pending = fields['pending'],
            lag = fields['lag'],
            read = fields['entries-read'],
        }
    end
    return groups
end
