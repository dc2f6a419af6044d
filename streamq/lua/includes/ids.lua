local byte, DASH = string.byte, 45

-- Whether entry ID a comes before b. They stay strings: a double cannot hold them.
local function before(a, b)
    -- IDs of this century have a dash in place 14, and those of the same length
    -- compare as strings.
    if #a == #b and byte(a, 14) == DASH and byte(b, 14) == DASH then
        return a < b
    end
    local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
    local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
    if #a_ms ~= #b_ms then
        return #a_ms < #b_ms
    elseif a_ms ~= b_ms then
        return a_ms < b_ms
    elseif #a_seq ~= #b_seq then
        return #a_seq < #b_seq
    end
    return a_seq < b_seq
end

-- The lowest and the highest of some entry IDs.
local function bounds(ids)
    local low, high = ids[1], ids[1]
    for i = 2, #ids do
        if before(high, ids[i]) then -- most often they come in order
            high = ids[i]
        elseif before(ids[i], low) then
            low = ids[i]
        end
    end
    return low, high
end
