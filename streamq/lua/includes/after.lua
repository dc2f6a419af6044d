-- Where a range starts that comes after an entry ID; nil after the largest ID there
-- is: the server refuses a range that starts beyond it.
local LARGEST = '18446744073709551615-18446744073709551615'

local function after(id)
    return id ~= LARGEST and '(' .. id or nil
end
