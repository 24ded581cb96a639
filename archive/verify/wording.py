"""What the verifier says, in English and Thai, by code. Codes are stable; the sentences are for people."""

DEFECTS: dict[str, tuple[str, str]] = {
    "origin_damaged": (
        "The name of the log does not agree with its key ({detail}).",
        "ชื่อของบันทึกไม่ตรงกับกุญแจ ({detail})",
    ),
    "key_damaged": (
        "The log's verifier key cannot be used: {detail}.",
        "ใช้กุญแจตรวจสอบของบันทึกไม่ได้: {detail}",
    ),
    "key_differs": (
        "The verifier key is not the one sealed in leaf 0.",
        "กุญแจตรวจสอบไม่ใช่กุญแจที่ผนึกไว้ในรายการที่ 0",
    ),
    "head_missing": ("The signed head is missing.", "ไม่พบหัวบันทึกที่ลงลายมือชื่อ"),
    "head_damaged": ("The signed head cannot be read: {detail}.", "อ่านหัวบันทึกที่ลงลายมือชื่อไม่ได้: {detail}"),
    "head_signature": (
        "The signed head is not signed by the key of this log: {detail}.",
        "หัวบันทึกไม่ได้ลงลายมือชื่อด้วยกุญแจของบันทึกนี้: {detail}",
    ),
    "checkpoint_missing": ("The published checkpoint is missing.", "ไม่พบจุดตรวจสอบที่เผยแพร่"),
    "checkpoint_damaged": (
        "The published checkpoint cannot be read: {detail}.",
        "อ่านจุดตรวจสอบที่เผยแพร่ไม่ได้: {detail}",
    ),
    "checkpoint_signature": (
        "The published checkpoint is not signed by the key of this log: {detail}.",
        "จุดตรวจสอบที่เผยแพร่ไม่ได้ลงลายมือชื่อด้วยกุญแจของบันทึกนี้: {detail}",
    ),
    "checkpoint_ahead": (
        "The published checkpoint has {detail} leaves, more than the signed head: the head was put back.",
        "จุดตรวจสอบที่เผยแพร่มี {detail} รายการ มากกว่าหัวบันทึก แสดงว่าหัวบันทึกถูกย้อนกลับ",
    ),
    "checkpoint_inconsistent": (
        "The published checkpoint of {detail} leaves is not the beginning of this log.",
        "จุดตรวจสอบที่เผยแพร่ ({detail} รายการ) ไม่ใช่ส่วนต้นของบันทึกนี้",
    ),
    "anchor_foreign": (
        "The given checkpoint is of another log or key: {detail}.",
        "จุดตรวจสอบที่ให้มาเป็นของบันทึกหรือกุญแจอื่น: {detail}",
    ),
    "anchor_ahead": (
        "The given checkpoint has {detail[size]} leaves, more than this log: its end was cut off.",
        "จุดตรวจสอบที่ให้มามี {detail[size]} รายการ มากกว่าบันทึกนี้ แสดงว่าส่วนท้ายถูกตัดออก",
    ),
    "anchor_inconsistent": (
        "The given checkpoint of {detail[size]} leaves is not the beginning of this log: leaves were changed, none of "
        "them before leaf {detail[agreed]}.",
        "จุดตรวจสอบที่ให้มา ({detail[size]} รายการ) ไม่ใช่ส่วนต้นของบันทึกนี้ แสดงว่ารายการที่ผนึกแล้วตั้งแต่รายการที่ {detail[agreed]} "
        "เป็นต้นไปถูกแก้ไข",
    ),
    "anchor_contradicts": (
        "Leaves before {detail[agreed]} agree with what was anchored; from leaf {detail[agreed]} on this is not the "
        "log of {detail[size]} leaves that {detail[name]} saw ({detail[time]}).",
        "รายการก่อนหน้ารายการที่ {detail[agreed]} ตรงกับหลักฐานภายนอก แต่ตั้งแต่รายการที่ {detail[agreed]} เป็นต้นไปไม่ใช่บันทึก "
        "({detail[size]} รายการ) ที่ {detail[name]} เห็น ({detail[time]})",
    ),
    "anchor_checkpoint": (
        "The head in an anchor leaf cannot be one of this log: {detail}.",
        "หัวบันทึกในรายการหลักฐานภายนอกไม่ใช่ของบันทึกนี้: {detail}",
    ),
    "anchor_evidence": (
        "The evidence in an anchor leaf does not verify: {detail}.",
        "หลักฐานภายนอกที่ผนึกไว้ไม่ผ่านการตรวจสอบ: {detail}",
    ),
    "cosignature_wrong": (
        "A cosignature of a trusted witness does not verify: {detail}.",
        "ลายมือชื่อร่วมของพยานที่เชื่อถือไม่ผ่านการตรวจสอบ: {detail}",
    ),
    "token_wrong": (
        "The given time stamp is not one of a trusted authority over a checkpoint of this log: {detail}.",
        "ตราประทับเวลาที่ให้มาไม่ใช่ของผู้ให้บริการที่เชื่อถือสำหรับจุดตรวจสอบของบันทึกนี้: {detail}",
    ),
    "retained_damaged": (
        "A retained checkpoint is not what it was: {detail}.",
        "จุดตรวจสอบที่เก็บสำเนาไว้ถูกเปลี่ยนแปลง: {detail}",
    ),
    "retained_ahead": (
        "A retained checkpoint has {detail[size]} leaves, more than this log: its end was cut off.",
        "จุดตรวจสอบที่เก็บสำเนาไว้มี {detail[size]} รายการ มากกว่าบันทึกนี้ แสดงว่าส่วนท้ายถูกตัดออก",
    ),
    "retained_inconsistent": (
        "The retained checkpoint of {detail[size]} leaves is not the beginning of this log: leaves were changed, none "
        "of them before leaf {detail[agreed]}.",
        "จุดตรวจสอบที่เก็บสำเนาไว้ ({detail[size]} รายการ) ไม่ใช่ส่วนต้นของบันทึกนี้ แสดงว่ารายการตั้งแต่รายการที่ {detail[agreed]} "
        "เป็นต้นไปถูกแก้ไข",
    ),
    "former_missing": (
        "The earlier log {detail}, which leaf 0 names, is missing.",
        "ไม่พบบันทึกก่อนหน้า {detail} ที่รายการที่ 0 อ้างถึง",
    ),
    "former_unnamed": (
        "No later log names this one in its leaf 0.",
        "ไม่มีบันทึกถัดไปใดอ้างถึงบันทึกนี้ในรายการที่ 0",
    ),
    "former_seam": (
        "Leaf 0 of the later log does not fit the earlier log: {detail}.",
        "รายการที่ 0 ของบันทึกถัดไปไม่ตรงกับบันทึกก่อนหน้า: {detail}",
    ),
    "successor_leaf": (
        "A leaf names a successor of this log, which ends with it, and is wrong: {detail}.",
        "รายการที่ระบุบันทึกผู้สืบทอดซึ่งต้องเป็นรายการสุดท้ายไม่ถูกต้อง: {detail}",
    ),
    "bundle_missing": ("The file with these leaves is missing.", "ไม่พบแฟ้มที่เก็บรายการเหล่านี้"),
    "bundle_damaged": (
        "The file with these leaves was changed: {detail}.",
        "แฟ้มที่เก็บรายการเหล่านี้ถูกเปลี่ยนแปลง: {detail}",
    ),
    "tile_missing": ("A file of the hash tree is missing.", "ไม่พบแฟ้มของต้นไม้แฮช"),
    "tile_damaged": (
        "A file of the hash tree was changed: {detail}.",
        "แฟ้มของต้นไม้แฮชถูกเปลี่ยนแปลง: {detail}",
    ),
    "leaf_changed": (
        "A leaf was changed: the hash tree holds another one.",
        "รายการถูกเปลี่ยนแปลง: ไม่ตรงกับต้นไม้แฮช",
    ),
    "leaf_disputed": (
        "A leaf and its hash in the tree ({detail}) disagree, and the signed head confirms neither.",
        "รายการกับแฮชในต้นไม้ ({detail}) ไม่ตรงกัน และหัวบันทึกไม่ยืนยันฝ่ายใด",
    ),
    "root_differs": (
        "The leaves do not lead to the root hash that was signed.",
        "รายการทั้งหมดไม่ให้ค่าแฮชรากตามที่ลงลายมือชื่อไว้",
    ),
    "leaf_format": (
        "A leaf is not canonical JSON.",
        "รายการไม่เป็น JSON ตามรูปแบบที่กำหนด",
    ),
    "leaf_fields": ("A leaf has a wrong field: {detail}.", "รายการมีช่องข้อมูลผิด: {detail}"),
    "leaf_key": (
        "Leaf 0, and no other, must state the key.",
        "ต้องมีรายการที่ 0 เพียงรายการเดียวที่ระบุกุญแจ",
    ),
    "stream_sequence": (
        "Spool file {detail} was expected next in this stream.",
        "แฟ้มรับข้อมูลถัดไปของสายนี้ควรเป็นหมายเลข {detail}",
    ),
    "stream_previous": (
        "The leaf does not name the leaf before it in this stream ({detail}).",
        "รายการไม่อ้างถึงรายการก่อนหน้าของสายนี้ ({detail})",
    ),
    "segment_name": (
        "The leaf's segment name does not fit its stream and day: {detail}.",
        "ชื่อส่วนเก็บข้อมูลไม่ตรงกับสายและวัน: {detail}",
    ),
    "segment_gap": (
        "The chunk does not begin where the one before ended (byte {detail}).",
        "ก้อนข้อมูลไม่ได้เริ่มต่อจากก้อนก่อนหน้า (ไบต์ที่ {detail})",
    ),
    "segment_missing": ("The segment is missing.", "ไม่พบส่วนเก็บข้อมูล"),
    "segment_short": (
        "The segment ends inside or before this chunk.",
        "ส่วนเก็บข้อมูลสิ้นสุดก่อนจบก้อนข้อมูลนี้",
    ),
    "chunk_changed": (
        "The stored records were changed: the chunk's SHA-256 is not the sealed one.",
        "ข้อมูลที่เก็บไว้ถูกเปลี่ยนแปลง: ค่า SHA-256 ของก้อนข้อมูลไม่ตรงกับที่ผนึกไว้",
    ),
    "segment_trailing": (
        "The segment holds {detail} bytes no leaf covers, although newer segments follow.",
        "ส่วนเก็บข้อมูลมี {detail} ไบต์ที่ไม่มีรายการใดรับรอง ทั้งที่มีส่วนใหม่กว่าต่อท้าย",
    ),
    "segment_unknown": (
        "No leaf names this segment, although newer segments follow.",
        "ไม่มีรายการใดอ้างถึงส่วนเก็บข้อมูลนี้ ทั้งที่มีส่วนใหม่กว่าต่อท้าย",
    ),
    "records_leaf": (
        "A leaf with roots of records is wrong: {detail}.",
        "รายการที่เก็บค่ารากของระเบียนผิด: {detail}",
    ),
    "units_missing": (
        "The file with the units of these records is missing, although the records are there.",
        "ไม่พบแฟ้มขอบเขตหน่วยข้อมูลของระเบียนเหล่านี้ ทั้งที่ระเบียนยังอยู่",
    ),
    "units_changed": (
        "The file with the units of records was changed: its SHA-256 is not the sealed one.",
        "แฟ้มขอบเขตหน่วยข้อมูลถูกเปลี่ยนแปลง: ค่า SHA-256 ไม่ตรงกับที่ผนึกไว้",
    ),
    "units_structure": (
        "The file with the units of records does not fit its leaf and the records: {detail}.",
        "แฟ้มขอบเขตหน่วยข้อมูลไม่ตรงกับรายการและระเบียน: {detail}",
    ),
    "records_root": (
        "The units of records do not lead to the sealed root ({detail}).",
        "หน่วยข้อมูลของระเบียนไม่ให้ค่ารากตามที่ผนึกไว้ ({detail})",
    ),
    "salt_missing": (
        "The key of the salts of these records is missing, although the records are there.",
        "ไม่พบกุญแจเกลือของระเบียนเหล่านี้ ทั้งที่ระเบียนยังอยู่",
    ),
    "salt_damaged": (
        "The key of the salts has {detail} bytes instead of 32.",
        "กุญแจเกลือมี {detail} ไบต์ แทนที่จะเป็น 32 ไบต์",
    ),
    "purge_leaf": ("A purge leaf is wrong: {detail}.", "รายการลบข้อมูลผิด: {detail}"),
    "purge_range": (
        "A purge leaf does not list the chunks of {detail} as they were sealed.",
        "รายการลบข้อมูลไม่ตรงกับก้อนข้อมูลของ {detail} ที่ผนึกไว้",
    ),
    "purge_clock": (
        "A purge leaf rests on a clock that was not steady or states something else: {detail}.",
        "รายการลบข้อมูลอาศัยนาฬิกาที่ไม่เสถียรหรือระบุเวลาไม่ตรง: {detail}",
    ),
    "purge_too_early": (
        "Records were purged before they had been kept for 90 days ({detail}).",
        "ลบข้อมูลก่อนครบกำหนดเก็บรักษา 90 วัน ({detail})",
    ),
    "held_missing": (
        "A file with what holds keep of a purged day is missing.",
        "ไม่พบแฟ้มข้อมูลที่สั่งให้เก็บรักษาของวันที่ลบแล้ว",
    ),
    "held_changed": (
        "A file with what holds keep was changed: its SHA-256 is not the sealed one.",
        "แฟ้มข้อมูลที่สั่งให้เก็บรักษาถูกเปลี่ยนแปลง: ค่า SHA-256 ไม่ตรงกับที่ผนึกไว้",
    ),
    "held_unit": (
        "A file with what holds keep does not fit the leaves: {detail}.",
        "แฟ้มข้อมูลที่สั่งให้เก็บรักษาไม่ตรงกับรายการที่ผนึกไว้: {detail}",
    ),
    "unreadable": ("The file cannot be read: {detail}.", "อ่านแฟ้มไม่ได้: {detail}"),
}

STATEMENTS: dict[str, tuple[str, str]] = {
    "freshness_unproven": (
        "No outside anchor was given: consistent, freshness unproven.",
        "ไม่มีหลักฐานภายนอกประกอบ: ข้อมูลสอดคล้องกัน แต่ยังพิสูจน์ไม่ได้ว่าเป็นชุดล่าสุด",
    ),
    "freshness_not_judged": (
        "No outside anchor confirms this log, and defects were found.",
        "ไม่มีหลักฐานภายนอกยืนยันบันทึกนี้ และพบข้อบกพร่อง",
    ),
    "anchored": (
        "The first {detail} leaves are unchanged since the given checkpoint; freshness of later ones unproven.",
        "{detail} รายการแรกไม่ถูกเปลี่ยนแปลงตั้งแต่จุดตรวจสอบที่ให้มา ส่วนหลังจากนั้นยังพิสูจน์ไม่ได้ว่าเป็นชุดล่าสุด",
    ),
    "anchored_by": (
        "The first {detail[size]} leaves are those that {detail[name]} saw at {detail[time]}; freshness of later ones "
        "unproven.",
        "{detail[size]} รายการแรกตรงกับที่ {detail[name]} เห็นเมื่อ {detail[time]} ส่วนหลังจากนั้นยังพิสูจน์ไม่ได้ว่าเป็นชุดล่าสุด",
    ),
    "anchored_former": (
        "The first {detail[size]} leaves of the earlier log in {detail[folder]} are unchanged since the given "
        "checkpoint.",
        "{detail[size]} รายการแรกของบันทึกก่อนหน้าใน {detail[folder]} ไม่ถูกเปลี่ยนแปลงตั้งแต่จุดตรวจสอบที่ให้มา",
    ),
    "anchor_not_checked": (
        "Outside evidence of {detail}: not checked: key unknown.",
        "หลักฐานภายนอกของ {detail}: ไม่ได้ตรวจ เพราะไม่รู้จักกุญแจ",
    ),
    "token_not_checked": (
        "The given time stamp was not checked: no time stamp authority is trusted.",
        "ไม่ได้ตรวจตราประทับเวลาที่ให้มา เพราะไม่ได้กำหนดผู้ให้บริการที่เชื่อถือ",
    ),
    "quick": (
        "Quick: of leaves before {detail} only the hash tree was checked, and of no chunk its content; records roots "
        "and earlier logs were left out.",
        "ตรวจแบบเร็ว: รายการก่อนหน้ารายการที่ {detail} ตรวจเฉพาะต้นไม้แฮช "
        "ไม่ได้ตรวจเนื้อหาของก้อนข้อมูล ค่ารากของระเบียน และบันทึกก่อนหน้า",
    ),
    "former": (
        "The earlier log in {detail[folder]} ({detail[size]} leaves) is continued by the later one ({detail[why]}).",
        "บันทึกก่อนหน้าใน {detail[folder]} ({detail[size]} รายการ) มีบันทึกถัดไปต่อเนื่อง ({detail[why]})",
    ),
    "former_elsewhere": (
        "The earlier log {detail} was moved and is not here: not checked.",
        "บันทึกก่อนหน้า {detail} ถูกย้ายและไม่ได้อยู่ที่นี่: ไม่ได้ตรวจ",
    ),
    "former_lost": (
        "Leaves {detail[first]} to {detail[last]} of the earlier log in {detail[folder]} were known and are lost: it "
        "was restored from a backup.",
        "รายการที่ {detail[first]} ถึง {detail[last]} ของบันทึกก่อนหน้าใน {detail[folder]} เคยมีแต่สูญหาย เพราะกู้คืนจากข้อมูลสำรอง",
    ),
    "restored": (
        "The earlier log in {detail[folder]} ({detail[size]} leaves) was restored from a copy; nothing is recorded "
        "between its last leaf and the later log: {detail[gap]}.",
        "บันทึกก่อนหน้าใน {detail[folder]} ({detail[size]} รายการ) กู้คืนจากสำเนา ช่วงที่ไม่มีบันทึกระหว่างบันทึกทั้งสอง: {detail[gap]}",
    ),
    "moved": (
        "The earlier log in {detail[folder]} ({detail[size]} leaves) was moved to this machine and names this log as "
        "its successor; between the two: {detail[gap]}.",
        "บันทึกก่อนหน้าใน {detail[folder]} ({detail[size]} รายการ) ย้ายมาที่เครื่องนี้และระบุบันทึกนี้เป็นผู้สืบทอด ช่วงระหว่างบันทึกทั้งสอง: "
        "{detail[gap]}",
    ),
    "moved_away": (
        "This log has ended: it names {detail} as its successor.",
        "บันทึกนี้สิ้นสุดแล้ว และระบุ {detail} เป็นผู้สืบทอด",
    ),
    "successor_not_taken": (
        "The earlier log in {detail[folder]} names {detail[origin]} as its successor, but was restored from a copy "
        "instead: ask what became of that one.",
        "บันทึกก่อนหน้าใน {detail[folder]} ระบุ {detail[origin]} เป็นผู้สืบทอด แต่กลับกู้คืนจากสำเนา ควรสอบถามว่าบันทึกนั้นอยู่ที่ใด",
    ),
    "purged": (
        "Purged as the leaves say: {detail[days]} days from {detail[first_day]} to {detail[last_day]}, "
        "{detail[records]} records; {detail[holds]} holds keep {detail[held_units]} units of them.",
        "ลบข้อมูลตามที่ผนึกไว้แล้ว {detail[days]} วัน ตั้งแต่ {detail[first_day]} ถึง {detail[last_day]} "
        "รวม {detail[records]} ระเบียน คำสั่งเก็บรักษา {detail[holds]} รายการเก็บไว้ {detail[held_units]} หน่วย",
    ),
    "purge_not_finished": (
        "Purged, and not removed yet, as after a crash: {detail}.",
        "ผนึกการลบแล้วแต่ยังไม่ได้ลบแฟ้ม ซึ่งเกิดได้เมื่อระบบหยุดกะทันหัน: {detail}",
    ),
    "leaves_without_root": (
        "{detail} chunks have no records root: single records of them cannot be proven without their neighbours.",
        "{detail} ก้อนข้อมูลไม่มีค่ารากของระเบียน จึงพิสูจน์ระเบียนเดี่ยวโดยไม่เปิดเผยระเบียนข้างเคียงไม่ได้",
    ),
    "units_beyond_head": (
        "{detail} files of units are named by no leaf, as after a crash.",
        "มีแฟ้มขอบเขตหน่วยข้อมูล {detail} แฟ้มที่ไม่มีรายการใดอ้างถึง ซึ่งเกิดได้เมื่อระบบหยุดกะทันหัน",
    ),
    "clock_unsynchronised": (
        "The clock was not synchronised: {detail}.",
        "นาฬิกาไม่ได้เทียบเวลา: {detail}",
    ),
    "times_backwards": (
        "{detail} chunks have an earlier time than the one before in their stream.",
        "{detail} ก้อนข้อมูลมีเวลาก่อนก้อนก่อนหน้าในสายเดียวกัน",
    ),
    "head_time_unknown": (
        "The head does not state its time; the last leaf is of {detail}.",
        "หัวบันทึกไม่ระบุเวลา รายการสุดท้ายเป็นของ {detail}",
    ),
    "index_not_checked": ("index: not checked", "ดัชนีค้นหา: ไม่ได้ตรวจ"),
    "checkpoint_behind": (
        "The published checkpoint ({detail} leaves) is older than the signed head, as after a crash.",
        "จุดตรวจสอบที่เผยแพร่ ({detail} รายการ) เก่ากว่าหัวบันทึก ซึ่งเกิดได้เมื่อระบบหยุดกะทันหัน",
    ),
    "tiles_beyond_head": (
        "{detail} files of the tree are beyond or before the head, as after a crash.",
        "มีแฟ้มของต้นไม้แฮช {detail} แฟ้มที่ไม่อยู่ในหัวบันทึก ซึ่งเกิดได้เมื่อระบบหยุดกะทันหัน",
    ),
    "segment_beyond_head": (
        "{detail} are beyond the last leaf of their stream, as after a crash.",
        "{detail} อยู่หลังรายการสุดท้ายของสาย ซึ่งเกิดได้เมื่อระบบหยุดกะทันหัน",
    ),
    "unsealed_spool": (
        "{detail} received but not sealed yet.",
        "{detail} รับแล้วแต่ยังไม่ได้ผนึก",
    ),
    "outage": ("Outage: {detail}.", "ช่วงที่ระบบไม่ทำงาน: {detail}"),
    "silent_gap": (
        "No leaf for longer than two heartbeats, and no outage is stated: {detail}. Either the clock was set forward, "
        "or nothing could be sealed, or leaves were left out on purpose.",
        "ไม่มีรายการใดนานเกินสองรอบสัญญาณชีพโดยไม่มีการระบุช่วงที่ระบบไม่ทำงาน: {detail} "
        "อาจเป็นเพราะนาฬิกาถูกปรับไปข้างหน้า ผนึกข้อมูลไม่ได้ หรือจงใจไม่ผนึก",
    ),
    "clock_back": ("The wall clock went backwards: {detail}.", "นาฬิกาถูกปรับย้อนหลัง: {detail}"),
    "torn": (
        "{detail} bytes of half-written records were cut off when spool files were sealed.",
        "ตัดข้อมูลที่เขียนไม่ครบออก {detail} ไบต์ขณะผนึก",
    ),
    "dropped": (
        "Lost in the kernel before receipt: {detail}.",
        "สูญหายในเคอร์เนลก่อนรับ: {detail}",
    ),
    "signatures_not_checked": (
        "Signatures were not checked, because the key cannot be used.",
        "ไม่ได้ตรวจลายมือชื่อ เพราะใช้กุญแจไม่ได้",
    ),
    "more_defects": ("{detail} more defects are not listed.", "มีข้อบกพร่องอีก {detail} รายการที่ไม่ได้แสดง"),
}
