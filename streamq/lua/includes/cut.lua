-- The strings of an entry, each cut to a number of bytes (-1: whole), and how many bytes
-- they had.
local function cut(fields, most)
    local kept, size = {}, 0
    for i = 1, #fields do
        kept[i] = string.sub(fields[i], 1, most)
        size = size + #fields[i]
    end
    return kept, size
end
