/* sweep_visit */
SELECT CAST(coalesce(sum(
  (
    SELECT count(*)
    FROM (
      SELECT *
      FROM flyers
      WHERE by_index('flyers_feed', id)
    ) f
    WHERE f.expired = FALSE
    AND f.created_at = m.created_at
    AND f.id = m.id
  ) + (
    SELECT count(*)
    FROM (
      SELECT *
      FROM flyers
      WHERE by_index('flyers_creator_feed', id)
    ) f
    WHERE f.expired = FALSE
    AND f.creator_id = m.creator_id
    AND f.created_at = m.created_at
    AND f.id = m.id
  ) + (
    SELECT count(*)
    FROM (
      SELECT *
      FROM flyers
      WHERE by_index('flyers_small_cell_feed', id)
    ) f
    WHERE f.expired = FALSE
    AND (CAST(floor((f.latitude + 90) * 64) AS bigint) * 32768 + CAST(floor((f.longitude + 180) * 64) AS bigint)) = (CAST(floor((m.latitude + 90) * 64) AS bigint) * 32768 + CAST(floor((m.longitude + 180) * 64) AS bigint))
    AND f.created_at = m.created_at
    AND f.id = m.id
  ) + (
    SELECT count(*)
    FROM (
      SELECT *
      FROM flyers
      WHERE by_index('flyers_medium_cell_feed', id)
    ) f
    WHERE f.expired = FALSE
    AND (CAST(floor((f.latitude + 90) * 16) AS bigint) * 32768 + CAST(floor((f.longitude + 180) * 16) AS bigint)) = (CAST(floor((m.latitude + 90) * 16) AS bigint) * 32768 + CAST(floor((m.longitude + 180) * 16) AS bigint))
    AND f.created_at = m.created_at
    AND f.id = m.id
  ) + (
    SELECT count(*)
    FROM (
      SELECT *
      FROM flyers
      WHERE by_index('flyers_large_cell_feed', id)
    ) f
    WHERE f.expired = FALSE
    AND (CAST(floor((f.latitude + 90) * 4) AS bigint) * 32768 + CAST(floor((f.longitude + 180) * 4) AS bigint)) = (CAST(floor((m.latitude + 90) * 4) AS bigint) * 32768 + CAST(floor((m.longitude + 180) * 4) AS bigint))
    AND f.created_at = m.created_at
    AND f.id = m.id
  ) + (
    SELECT count(*)
    FROM (
      SELECT *
      FROM flyers
      WHERE by_index('flyers_to_mark', id)
    ) f
    WHERE f.expired = FALSE
    AND f.valid_until = m.valid_until
    AND f.id = m.id
  ) + (
    SELECT count(*)
    FROM (
      SELECT *
      FROM flyers
      WHERE by_index('flyers_valid_from', id)
    ) f
    WHERE f.expired = FALSE
    AND f.valid_from = m.valid_from
    AND f.id = m.id
  ) + (
    SELECT coalesce(sum(
      (
        SELECT count(*)
        FROM (
          SELECT *
          FROM favorites
          WHERE by_index('favorites_feed', user_id)
        ) v
        WHERE v.flyer_expired = FALSE
        AND v.user_id = w.user_id
        AND v.flyer_created_at = w.flyer_created_at
        AND v.flyer_id = w.flyer_id
      ) + (
        SELECT count(*)
        FROM (
          SELECT *
          FROM favorites
          WHERE by_index('favorites_recent_feed', user_id)
        ) v
        WHERE v.flyer_expired = FALSE
        AND v.user_id = w.user_id
        AND v.created_at = w.created_at
        AND v.flyer_id = w.flyer_id
      )
    ), 0)
    FROM favorites w
    WHERE w.flyer_id = seek(m.id)
  )
), 0) AS bigint)
FROM unnest(CAST(CAST(:ids AS TEXT) AS bigint[])) k (id)
CROSS JOIN LATERAL (
  SELECT *
  FROM flyers m
  WHERE m.id = k.id
  OFFSET 0
) m
