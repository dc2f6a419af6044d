-- An error as it is kept or told beside others: up to so many bytes, and not cut in the middle
-- of a character.
local ERROR_KEPT = 300

local function shorten(err)
    if #err <= ERROR_KEPT then
        return err
    end
    return string.gsub(string.sub(err, 1, ERROR_KEPT), '[\192-\255][\128-\191]*$', '') .. '…'
end
