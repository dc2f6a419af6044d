-- How many bytes the strings of an entry have.
local function size_of(fields)
    local size = 0
    for i = 1, #fields do
        size = size + #fields[i]
    end
    return size
end

-- Bytes after which a script that reads entries reads no more: the rest is for the next call.
local ENOUGH = 8388608
