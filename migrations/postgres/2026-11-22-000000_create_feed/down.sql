DROP TABLE follows;
DROP TABLE favorites;
DROP TABLE flyer_images;
DROP TABLE flyers;
DROP TABLE users;
